"""One id tensor, or one table, in several roles: each gets what is its own."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from xdsl.ir import Attribute, SSAValue

import cimc
from cimc.errors import RequestError
from cimc.interpreter.evaluate import evaluate
from cimc.ir import rec
from cimc.ir.types import f32, i64, tensor
from cimc.isa.artifact import to_bytes
from cimc.isa.listing import arrays_of, format_program, parse_program
from cimc.sim.devices.model.load_device import load_device
from cimc.sim.executor import Simulator
from cimc.transforms.pipeline import Pipeline
from tests.build import Builder, module
from tests.e2e.shared_ids import USES, requests_of, shared_ids

PAIRS = list(combinations(USES, 2))


def compiled(model: onnx.ModelProto, folder: Path, requests: Any) -> tuple[cimc.Program, Any]:
    """The program of a model, and what onnxruntime gives for ``requests``."""
    path = folder / "m.onnx"
    onnx.save(model, path)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    expected = dict(zip(names, session.run(None, requests), strict=True))
    return cimc.compile(path, calib=requests), expected


def close(got: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether the error is 20 dB below the signal, a tenth of its size."""
    error = np.square(got.astype(np.float64) - wanted).sum()
    return got.shape == wanted.shape and bool(error <= 0.01 * np.square(wanted.astype(np.float64)).sum())


@pytest.mark.parametrize("one_table", [False, True], ids=["tables", "one-table"])
@pytest.mark.parametrize("uses", PAIRS, ids="-".join)
def test_any_two_uses_of_the_same_ids(uses: tuple[str, str], one_table: bool, tmp_path: Path) -> None:
    requests = requests_of(uses)
    program, expected = compiled(shared_ids(uses, one_table=one_table), tmp_path, requests)
    for mode in ("exact", "adc"):
        got = program.run(requests, mode=mode).outputs  # type: ignore[arg-type]
        assert got.keys() == expected.keys()
        for name, wanted in expected.items():
            assert close(got[name], wanted), (mode, name)


def test_all_uses_of_the_same_ids(tmp_path: Path) -> None:
    requests = requests_of(list(USES))
    program, expected = compiled(shared_ids(list(USES)), tmp_path, requests)
    result = program.run(requests, mode="exact")
    assert all(close(result.outputs[name], wanted) for name, wanted in expected.items())
    (segment,) = program.data.chip_segments
    assert {p.kind for p in segment.inputs if p.value == "ids"} == {"bag", "dense"}
    assert result.cost.energy_pj > 0
    assert program.simulate(requests).latency.shape == requests["ids"].shape[:1]
    again = parse_program(format_program(program.data), arrays_of(program.data))
    assert to_bytes(again) == to_bytes(program.data)


def _jagged(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
    ids, offsets, weights = args
    table = b.table("t", 30, 4)

    def bag(layout: str = "offsets", given: SSAValue | None = None, **more: Any) -> SSAValue:
        made = rec.EmbeddingBagOp(table, 30, 4, ids, layout=layout, offsets=offsets, weights=given, **more)
        return b.add(made)

    return [
        bag(), bag(mode="mean"), bag(mode="max"), bag(padding=0), bag(padding=1, mode="mean"),
        bag(given=weights), bag(given=weights, padding=0),
    ]  # fmt: skip


def _fixed(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
    ids, _, weights = args
    table = b.table("t", 30, 4)
    uses: list[dict[str, Any]] = [
        {"mode": "none"}, {}, {"mode": "mean"}, {"mode": "max"}, {"padding": 0},
        {"padding": 1, "mode": "mean"}, {"weights": weights}, {"weights": weights, "padding": 0},
    ]  # fmt: skip
    return [b.add(rec.EmbeddingBagOp(table, 30, 4, ids, **more)) for more in uses]


@pytest.mark.parametrize("layout", ["jagged", "fixed"])
def test_one_table_in_all_lookups_of_the_same_ids(layout: str) -> None:
    """The integers are those of the reference; as programs they have one table and a port per kind of bag."""
    jagged = layout == "jagged"
    dims = (-1,) if jagged else (-1, 3)
    inputs: dict[str, Attribute] = {
        "ids": tensor(dims, i64), "offsets": tensor((-1,), i64), "weights": tensor(dims, f32)
    }  # fmt: skip
    made, ctx = module(inputs, _jagged if jagged else _fixed)
    rng = np.random.default_rng(4)
    size = (36,) if jagged else (12, 3)
    requests = {
        "ids": rng.integers(0, 4, size), "offsets": np.sort(rng.integers(0, 36, 12)) * (np.arange(12) > 0),
        "weights": rng.normal(0, 1, size).astype(np.float32),
    }  # fmt: skip
    ctx.calibration = requests
    Pipeline.parse("quantize,shard,choose-adc-steps,place,schedule,lower").run(made, ctx)
    assert ctx.target is not None
    simulator = Simulator(ctx.program, ctx.target)
    assert len(simulator.program.matrices) == 1
    wanted = evaluate(made, ctx, requests)
    for mode in ("exact", "adc"):
        got, _ = simulator.run(requests, mode)  # type: ignore[arg-type]
        for name, value in wanted.items():
            np.testing.assert_array_equal(got[name], value, err_msg=f"{mode} {name}")


def _two_bags(*modes: str) -> Any:
    def body(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
        table = b.table("t", 30, 4)
        return [b.add(rec.EmbeddingBagOp(table, 30, 4, args[0], mode=mode)) for mode in modes]

    return body


def test_each_lookup_has_noise_of_its_own() -> None:
    made, ctx = module({"ids": tensor((-1, 3), i64)}, _two_bags("sum", "mean"))
    requests = {"ids": np.random.default_rng(4).integers(0, 30, (200, 3))}
    ctx.calibration = requests
    Pipeline.parse("quantize,shard,choose-adc-steps,place,schedule,lower").run(made, ctx)
    assert ctx.target is not None
    simulator = Simulator(ctx.program, ctx.target)
    exact, _ = simulator.run(requests, "exact")
    noisy, _ = simulator.run(requests, "noisy", device=load_device("wan2022"), age=1.0, seed=0)
    first, second = noisy["y0"] - exact["y0"], 3 * (noisy["y1"] - exact["y1"])
    assert np.abs(first).max() > 0
    assert not np.allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("rows", [(100, 10), (10, 100)])
@pytest.mark.parametrize("mode", ["exact", "adc"])
def test_ids_must_fit_every_table_they_go_to(rows: tuple[int, int], mode: Any) -> None:
    def body(b: Builder, args: list[SSAValue]) -> list[SSAValue]:
        return [b.add(rec.EmbeddingBagOp(b.table(f"t{n}", n, 4), n, 4, args[0])) for n in rows]

    made, ctx = module({"ids": tensor((-1,), i64)}, body)
    ctx.calibration = {"ids": np.arange(10)}
    Pipeline.parse("quantize,shard,choose-adc-steps,place,schedule,lower").run(made, ctx)
    assert ctx.target is not None
    simulator = Simulator(ctx.program, ctx.target)
    simulator.run({"ids": np.array([3, 9])}, mode)
    with pytest.raises(RequestError, match=r"table t10: id 50 in request 1") as error:
        simulator.run({"ids": np.array([3, 50])}, mode)
    assert error.value.code == "request.id-out-of-range"
