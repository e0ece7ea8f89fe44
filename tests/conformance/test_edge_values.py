"""Edge values of operators, in every place that computes them, against onnxruntime.

A sample of each operator's combinations runs, always the same one; all of them with ``CIMC_SWEEP=full`` in
the environment (some minutes)::

    CIMC_SWEEP=full python -m pytest tests/conformance/test_edge_values.py
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.conformance import edge_moves, edge_numbers
from tests.conformance.sweep import Case, sampled, sweep

MOST = 10**9 if os.environ.get("CIMC_SWEEP") == "full" else 80
"""Cases per operator."""

SWEEPS: dict[str, Callable[[], Iterator[Case]]] = {
    "Slice": edge_moves.slices,
    "Gather, GatherElements, GatherND": edge_moves.gathers,
    "Pad": edge_moves.pads,
    "Split": edge_moves.splits,
    "Tile, Expand": edge_moves.repeats,
    "Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Shape": edge_moves.views,
    "Squeeze and Flatten, defaults": edge_moves.defaults,
    "Concat": edge_moves.joins,
    "CumSum, Trilu, Softmax, LpNormalization": edge_numbers.runs,
    "reductions": edge_numbers.reductions,
    "Range": edge_numbers.ranges,
    "elementwise": edge_numbers.elementwise,
    "OneHot, TopK": edge_numbers.choices,
}


@pytest.mark.parametrize("name", SWEEPS)
def test_edge_values(name: str) -> None:
    found = sweep(sampled(list(SWEEPS[name]()), MOST))
    assert found.wrong == []
    assert found.seen["folded, analysed"] > 0
