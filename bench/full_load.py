"""Presets at full load against their publications: throughput and energy per operation.

    python -m bench.full_load [--json] [PRESET ...]

A chain of MatMul + ReLU layers fills every cell of a few tiles, at the widths of the publication; it is
compiled with the default pipeline and costed.  Two figures each: operations per second (1 MAC = 2) at the
bound of the busiest unit, and operations per joule in the scope that the publication states.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import cimc
from cimc.cost import Cost, estimate
from cimc.transforms.pipeline import DEFAULT_PIPELINE

TOLERANCE = 0.2
"""Share by which a figure may miss its publication."""


@dataclass(frozen=True)
class Publication:
    """What a publication states, and the chain that is measured against it.

    Attributes:
        signed: whether the chain's own inputs are; layers behind a ReLU have unsigned ones.
        target: the preset with few tiles, so that it compiles in seconds; figures are per array.
        widths: of activations between the layers, from input to output.
        weights, acts: bits.
        tops: operations per second, 1e12, of all arrays of ``target``.
        tops_per_watt: operations per joule, 1e12.
        scope: what that energy includes, ``arrays`` or ``tiles`` (with what a tile has beside them).
        source: where the two figures are from.
        limit: what keeps the throughput below in the system around the arrays: the kind of unit, and why.
    """

    target: str
    widths: tuple[int, ...]
    signed: bool
    weights: int
    acts: int
    tops: float
    tops_per_watt: float
    scope: str
    source: str
    limit: tuple[str, str] = ("", "")


PUBLICATIONS = {
    "tsinghua28": Publication(
        "tsinghua28{chip.mesh=2x2}", (1024,) * 9, False, 4, 4, 90.9, 25.4, "arrays",
        "Yao et al., ESSERC 2024: 512 x 512 x 2 operations in 184.6 ns, 32 macros; 111.43 mW at 512 rows",
    ),
    "asscc28": Publication(
        "asscc28{chip.mesh=2x2}", (1024,) * 9, False, 2, 4, 559.2, 89.7, "arrays",
        "A-SSCC 2025, by way of sys_level_snn: 512 x 512 x 2 operations in 30 ns, 32 macros; 89.7 TOPS/W",
        ("mesh link", "Shafiee et al., ISCA 2016: links of 32 bits at 1.2 GHz, 38.4 Gb/s; a macro takes 512 "
         "inputs of 4 bits in 30 ns, 68.3 Gb/s"),
    ),
    "isaac32": Publication(
        "isaac32{chip.mesh=2x1}", (384, 1024, 384), True, 8, 8, 1.966, 3.40, "arrays",
        "Shafiee et al., ISCA 2016, Table I: 96 arrays x 128 x 32 weights x 2 operations in 800 ns a tile; "
        "12 IMAs 289 mW",
    ),
    "neurram130": Publication(
        "neurram130{chip.mesh=2x2 system.chips=1}", (256,) * 9, True, 4, 4,
        0.248, 16.0, "arrays",
        "Wan et al., Nature 608, 2022: 4.23 us and 4.09 nJ per MVM of 128 x 256 weights, 16 cores",
    ),
    "hermes14": Publication(
        "hermes14{chip.mesh=2x2 system.chips=1}", (512,) * 5, True, 4, 8, 15.8, 9.76, "arrays",
        "Le Gallo et al., Nat. Electron. 2023: 63.1 TOP/s of 64 cores, 16 of them; 9.76 TOP/s/W",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One figure beside its publication; ``ratio`` = model / paper."""

    preset: str
    name: str
    unit: str
    paper: float
    model: float
    ratio: float
    bottleneck: str
    limit: str
    scope: str
    source: str

    @property
    def explained(self) -> bool:
        """Whether it is within :data:`TOLERANCE`, or below by the limit that is named."""
        if abs(self.ratio - 1) <= TOLERANCE:
            return True
        kind = self.limit.partition(": ")[0]
        return bool(kind) and self.ratio < 1 and self.bottleneck.startswith(kind)


def chain(widths: tuple[int, ...], signed: bool, seed: int = 0) -> onnx.ModelProto:
    """MatMul + Relu layers of these widths, behind a Relu unless inputs are ``signed``; batch first.

    The output is the largest activation of the last layer, so that no vector of floats leaves the chip.
    """
    rng = np.random.default_rng(seed)
    nodes, weights, name = ([], [], "x") if signed else ([helper.make_node("Relu", ["x"], ["x0"])], [], "x0")
    for i, (rows, cols) in enumerate(pairwise(widths)):
        w = rng.standard_normal((rows, cols)).astype(np.float32) / np.float32(np.sqrt(rows))
        weights.append(numpy_helper.from_array(w, f"w{i}"))
        nodes.append(helper.make_node("MatMul", [name, f"w{i}"], [f"p{i}"]))
        name = f"y{i}"
        nodes.append(helper.make_node("Relu", [f"p{i}"], [name]))
    nodes.append(helper.make_node("ReduceMax", [name], ["y"], axes=[1], keepdims=1))
    graph = helper.make_graph(
        nodes, "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", widths[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
        weights,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def cost_of(publication: Publication) -> Cost:
    """The chain, compiled for the preset and costed."""
    x = np.random.default_rng(1).standard_normal((32, publication.widths[0]), dtype=np.float32)
    bits = f"weights={publication.weights} acts={publication.acts}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.onnx"
        onnx.save(chain(publication.widths, publication.signed), path)
        line = DEFAULT_PIPELINE.replace("weights=8 acts=8", bits)
        program = cimc.compile(path, publication.target, {"x": x}, line)
    return estimate(program.data, program.target)


def figures(preset: str) -> list[Figure]:
    """The two figures of a preset."""
    paper = PUBLICATIONS[preset]
    cost = cost_of(paper)
    macs = sum(rows * cols for rows, cols in pairwise(paper.widths))
    assert cost.throughput_rps is not None
    tops = 2 * macs * cost.throughput_rps * 1e-12
    per_watt = 2 * macs / cost.array_energy_pj
    if cost.area.counts["arrays_used"] != cost.area.counts["arrays"] or cost.area.counts["cells_used"] < 1:
        raise AssertionError(f"{preset}: the chain leaves cells empty: {cost.area.counts}")
    return [
        Figure(preset, name, unit, value, model, model / value, unit_of, limit, scope, paper.source)
        for name, unit, value, model, unit_of, limit, scope in (
            ("throughput", "TOPS", paper.tops, tops, cost.bottleneck, ": ".join(paper.limit), "whole system"),
            ("energy", "TOPS/W", paper.tops_per_watt, per_watt, "", "", paper.scope),
        )
    ]


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; 1 if one misses its publication and no limit explains it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = [figure for preset in options.presets or PUBLICATIONS for figure in figures(preset)]
    if options.json:
        print(json.dumps([asdict(figure) for figure in found], indent=2))
    else:
        for f in found:
            print(
                f"{f.preset:12} {f.name:10} {f.model:8.4g} of {f.paper:6.4g} {f.unit:7} {f.ratio:6.1%}",
                f.bottleneck,
            )
    for f in found:
        if abs(f.ratio - 1) > TOLERANCE and f.explained:
            print(f"{f.preset}: limit of the system around it: {f.limit}", file=sys.stderr)
    return int(not all(f.explained for f in found))


if __name__ == "__main__":
    sys.exit(main())
