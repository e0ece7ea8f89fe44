"""Counts of host segments, kept by the shapes (or elements) of what they were of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from cimc.errors import CimcError
from cimc.host.runtime import HostRunner
from cimc.sim.host_counts import HostCounts
from tests.transforms.recognise.fusing import floats, model


class Counting(HostRunner):
    """A runner that counts its runs, or fails."""

    runs = 0
    fails = False

    def run(self, model: Any, inputs: Mapping[str, Any], outputs: Any = None) -> Any:
        self.runs += 1
        if self.fails:
            raise CimcError("host.onnxruntime", "no more memory")
        return super().run(model, inputs, outputs)


def counts(text: str) -> tuple[HostCounts, Counting]:
    runner = Counting()
    proto = model(text, {"w": floats(4, 3)})
    return HostCounts({"h": np.frombuffer(proto.SerializeToString(), np.uint8)}, runner), runner


PRODUCT = "m (float[B, 4] x) => (float[B, 3] y) { y = MatMul(x, w) }"


def test_equal_shapes_are_counted_once() -> None:
    found, runner = counts(PRODUCT)
    (work,) = found.of("h", {"x": floats(5, 4)})
    assert (work.op, work.macs, work.lookups) == ("MatMul", 5 * 4 * 3, 0)
    assert found.of("h", {"x": floats(5, 4, seed=1)}) == [work]
    assert runner.runs == 1
    (other,) = found.of("h", {"x": floats(2, 4)})
    assert other.macs == 2 * 4 * 3
    assert runner.runs == 2


def test_where_elements_decide_equal_elements_are_counted_once() -> None:
    text = (
        "m (float[B, 4] x, int64 n) => (float[B, 4] z) <bool yes = {1}> {"
        "z = Loop<body = b (int64 i, bool c, float[B, 4] h) => (bool d, float[B, 4] g) {"
        " d = Identity(c)\n p = MatMul(h, w)\n s = ReduceSum(p)\n g = Add(h, s) }>(n, yes, x) }"
    )
    found, runner = counts(text)
    for trips in (3, 2, 3):
        (work,) = found.of("h", {"x": floats(5, 4), "n": np.array(trips)})
        assert work.macs == trips * 5 * 4 * 3
        assert work.within
    assert runner.runs == 2


def test_a_count_that_fails_says_why() -> None:
    found, runner = counts(PRODUCT)
    runner.fails = True
    (work,) = found.of("h", {"x": floats(5, 4)})
    assert (work.macs, work.lookups) == (None, None)
    assert "no more memory" in work.why


def test_only_so_many_kinds_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cimc.sim.host_counts._KEPT", 2)
    found, runner = counts(PRODUCT)
    for rows in (1, 2, 3, 4, 4, 1):
        found.of("h", {"x": floats(rows, 4)})
    assert runner.runs == 5  # 1 was forgotten, 4 was not
