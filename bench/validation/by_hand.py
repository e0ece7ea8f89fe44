"""A layer and a bag by hand: counts written out from the preset's file alone, beside what cimc charges.

Nothing of ``cimc.cost`` or ``cimc.target`` is used for the expected figures: only the YAML of the preset, and
the arithmetic on paper below.  Wires (host link, mesh) and scratchpads are left out.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

import cimc
from bench.validation.rows import ROUNDING, Row, Section
from cimc.cost import Cost
from cimc.target.load_target import preset_names
from cimc.transforms.passes import DEFAULT_PIPELINE

K, N = 100, 32
ROWS, DIM, BAG = 100, 16, 20
BITS = 8
PARTS = ("array rows", "ADC", "array steps", "shift-add", "bus", "vector unit")
PRESETS = Path(cimc.__file__).parent / "target" / "presets"


def constants(preset: str) -> dict[str, Any]:
    """The fields of a preset's file, ``array.step_ns`` and the like; constants as numbers."""
    read = yaml.safe_load((PRESETS / f"{preset}.yaml").read_text())
    return {
        f"{part}.{name}": field["value"] if isinstance(field, dict) and "value" in field else field
        for part in ("array", "tile")
        for name, field in read[part].items()
    }


def slices(c: dict[str, Any]) -> int:
    """Cells of an 8-bit weight: digits of base L, or balanced ones of base 2 L - 1 that reach 7/8 of 127."""
    if c["array.encoding"] == "offset":
        return math.ceil(BITS / math.log2(c["array.cell_levels"]) - 1e-12)
    base = 2 * c["array.cell_levels"] - 1
    return next(s for s in range(1, 9) if (base**s - 1) / 2 >= 7 / 8 * 127)


def converted(c: dict[str, Any], times: int, columns: int) -> int:
    """Conversions that take energy: of idle converters none where they are gated."""
    if c["array.gate_unused_adc"]:
        return times * columns
    return times * math.ceil(columns / c["array.columns_per_step"]) * c["array.columns_per_step"]


def layer(c: dict[str, Any]) -> tuple[float, float]:
    """pJ and ns of an unsigned 8-bit input of ``K`` times ``K x N`` weights, all on one array.

    An input has BITS / dac_bits phases, and each all columns in some steps.  Each step drives K rows and
    converts with all converters, or those that have a column where idle ones are gated; each phase and slice
    of a column is one shift-add, and a cell that holds a weight in offset form needs the sum of the inputs (K
    additions) taken from every column (N more), of two shift-adds each.  Inputs cross the bus as bytes,
    results as words of 32 bits; a result takes convert, multiply, add on the vector unit.
    """
    phases = math.ceil(BITS / c["array.dac_bits"])
    columns = N * slices(c)
    steps = phases * math.ceil(columns / c["array.columns_per_step"])
    corrections = K + N if c["array.encoding"] == "offset" else 0
    pj = (
        steps * K * c["array.row_pj"]
        + converted(c, phases, columns) * c["array.conversion_pj"]
        + steps * c["array.step_pj"]
        + (phases * columns + 2 * corrections) * c["tile.shift_add_pj"]
        + (K * BITS + N * 32) * c["tile.bus_pj_per_bit"]
        + 3 * N * c["tile.vector_op_pj"]
    )
    return pj, steps * c["array.step_ns"]


def bag(c: dict[str, Any]) -> tuple[float, float]:
    """pJ and ns of the sum of ``BAG`` different rows of ``DIM`` 8-bit values, all on one array.

    A converter holds so many rows at once as its largest code has room for the largest digit.  An activation
    drives its rows with 1, converts every slice, and is added to those before it; offsets of cells, known
    from the number of rows, are taken from each activation's columns.  Row numbers cross the bus in as many
    bits as the table needs, the sum in words of 32 bits; it takes convert and multiply.
    """
    offset = c["array.encoding"] == "offset"
    largest = 2 ** c["array.adc_bits"] - 1 if offset else 2 ** (c["array.adc_bits"] - 1) - 1
    activations = math.ceil(BAG / (largest // (c["array.cell_levels"] - 1)))
    columns = DIM * slices(c)
    steps = math.ceil(columns / c["array.columns_per_step"])
    additions = (activations - 1) * DIM + (activations * DIM if offset else 0)
    pj = (
        BAG * steps * c["array.row_pj"]
        + converted(c, activations, columns) * c["array.conversion_pj"]
        + activations * steps * c["array.step_pj"]
        + (activations * columns + 2 * additions) * c["tile.shift_add_pj"]
        + (BAG * math.ceil(math.log2(ROWS)) + DIM * 32) * c["tile.bus_pj_per_bit"]
        + 2 * DIM * c["tile.vector_op_pj"]
    )
    return pj, activations * steps * c["array.step_ns"]


def _model(nodes: list[Any], given: Any, result: Any, weights: dict[str, Any]) -> onnx.ModelProto:
    arrays = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "by_hand", [given], [result], arrays)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def costs(preset: str) -> tuple[Cost, Cost]:
    """What cimc says of the layer and of the bag."""
    rng, info = np.random.default_rng(0), helper.make_tensor_value_info
    product = _model(
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("MatMul", ["r", "w"], ["y"])],
        info("x", TensorProto.FLOAT, ["batch", K]),
        info("y", TensorProto.FLOAT, ["batch", N]),
        {"w": rng.standard_normal((K, N)).astype(np.float32)},
    )
    pooled = _model(
        [
            helper.make_node("Gather", ["t", "ids"], ["rows"], axis=0),
            helper.make_node("ReduceSum", ["rows", "axes"], ["y"], keepdims=0),
        ],
        info("ids", TensorProto.INT64, ["batch", BAG]),
        info("y", TensorProto.FLOAT, ["batch", DIM]),
        {"t": rng.standard_normal((ROWS, DIM)).astype(np.float32), "axes": np.array([1])},
    )
    # one instance and one place: of several, an array would be busy for its share of requests alone
    once = DEFAULT_PIPELINE.replace("allocate,", "").replace("copy,", "")
    line = once.replace("shard{", "shard{pool=pool ")
    found = []
    different = np.stack([rng.permutation(ROWS)[:BAG] for _ in range(16)])
    inputs = ({"x": rng.standard_normal((16, K)).astype(np.float32)}, {"ids": different})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for model, arrays in zip((product, pooled), inputs, strict=True):
            onnx.save(model, path)
            found.append(cimc.compile(path, preset, arrays, line).run(arrays, "exact").cost)
    return found[0], found[1]


def section() -> Section:
    """A layer and a bag on every preset."""
    rows = []
    for preset in preset_names():
        c = constants(preset)
        hand = {f"layer of {K} x {N}": layer(c), f"bag of {BAG} rows of {DIM}": bag(c)}
        for (name, (pj, ns)), cost in zip(hand.items(), costs(preset), strict=True):
            ours = math.fsum(item.pj for item in cost.energy.items if item.name in PARTS)
            busy = next(v for k, v in cost.to_json()["busy_ns"].items() if k.startswith("array "))
            source = f"`{preset}.yaml` and arithmetic"
            rows.append(Row(f"`{preset}`: {name}, pJ", ours, pj, ROUNDING, source))
            rows.append(Row(f"`{preset}`: the same, ns of its array", busy, ns, ROUNDING, source))
    about = (
        "Counts and sums written out by hand from the preset's file (`bench/validation/by_hand.py`), without "
        "the code that counts and charges: arrays, converters, shift-adds, bus and vector unit; wires and "
        "scratchpads are left out."
    )
    return Section("A layer and a bag by hand", about, tuple(rows))
