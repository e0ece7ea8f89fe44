"""Arrays, devices and matrices for the tests of noisy mode."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from cimc.sim.devices.model.device import Device
from cimc.sim.devices.model.load_device import load_device
from cimc.sim.devices.noisy_dense import Conditions, NoisyDense
from cimc.target import load_target
from cimc.target.cell_encoding import max_weight, phase_plan, slices_for


@cache
def base_array() -> Any:
    return load_target("tsinghua28").array


def make_array(encoding="differential", levels=8, dac_bits=4, adc_bits=8, scheme="offset", **more):
    return base_array().model_copy(
        update={
            "encoding": encoding,
            "cell_levels": levels,
            "dac_bits": dac_bits,
            "adc_bits": adc_bits,
            "signed_inputs": scheme,
            **more,
        }
    )


def changed(device: Device, **figures: float | None) -> Device:
    """``device`` with figures set: ``changed(d, window__low=2.0)``; ``None`` leaves one out."""
    data = device.model_dump(mode="json")
    for path, value in figures.items():
        part, name = path.split("__")
        if value is None:
            data[part][name] = None
        else:
            data[part][name]["value"] = value
    return Device.model_validate(data)


def quiet(name: str) -> Device:
    """A preset without stuck cells."""
    return changed(load_device(name), stuck__low=0.0, stuck__high=0.0)


def weights_for(array: Any, bits: int, shape: tuple[int, ...], rng: Any) -> Any:
    high = max_weight(array.encoding, array.cell_levels, bits)
    low = -high - (array.encoding == "offset")
    return rng.integers(low, high + 1, shape).astype(np.int8)


def inputs_for(plan: Any, shape: tuple[int, ...], rng: Any) -> Any:
    low, high = plan.bounds
    return rng.integers(low, high + 1, shape).astype(np.int8 if plan.signed else np.uint8)


def grid(rows: int, cols: int, height: int, width: int) -> Any:
    """Block table of a matrix cut into ``height x width`` blocks, columns outermost."""
    cells = [
        (r, min(height, rows - r), c, min(width, cols - c), 0, 0, 0)
        for c in range(0, cols, width)
        for r in range(0, rows, height)
    ]
    return np.array(cells, np.int32)


def steps_for(array: Any, blocks: Any, bits: int, plan: Any, rng: Any, high: int) -> Any:
    slices = slices_for(array.encoding, array.cell_levels, bits)
    return rng.integers(1, high + 1, (len(blocks), slices, len(plan.phases))).astype(np.int32)


def make_dense(
    array: Any, shape: tuple[int, int], block: tuple[int, int], conditions: Conditions, *, bits: int = 8,
    input_bits: int = 8, signed: bool = False, high: int = 4, seed: int = 0, name: str = "w",
    compiled: bool = True,
) -> tuple[NoisyDense, Any]:  # fmt: skip
    """A matrix of random weights in cells, and the plan of its inputs."""
    rng = np.random.default_rng(seed)
    plan = phase_plan(input_bits, signed, array.dac_bits, array.signed_inputs)
    blocks = grid(*shape, *block)
    weights = weights_for(array, bits, shape, rng)
    ranges = steps_for(array, blocks, bits, plan, rng, high)
    return (
        NoisyDense(name, weights, blocks, ranges, array, bits, input_bits, signed, conditions, compiled),
        plan,
    )
