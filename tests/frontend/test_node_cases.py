"""ONNX's own node tests, a sample of them: whatever goes to the chip gives what onnxruntime gives."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pytest

from cimc.errors import CimcError
from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate
from cimc.ir.text import parse_ir, print_ir
from cimc.transforms.matching.graph import Graph
from tests.transforms.recognise.fusing import fuse

STEP = 12


def test_node_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    # Single operators are islands: keep them on the chip all the same.
    monkeypatch.setattr(Graph, "demote_islands", lambda self: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        cases = sorted(collect_testcases(None), key=lambda c: c.name)
    seen: Counter[str] = Counter()
    for case in cases[::STEP]:
        found = fuse(case.model)
        text = print_ir(found.module)
        assert print_ir(parse_ir(text, found.ctx)) == text, case.name
        seen["fused"] += 1
        names = [value.name for value in case.model.graph.input]
        inputs = dict(zip(names, case.data_sets[0][0], strict=False))
        if not all(isinstance(v, np.ndarray | np.generic) and v.dtype != object for v in inputs.values()):
            continue
        try:
            expected = run_onnx(case.model, inputs)
        except CimcError:
            continue  # onnxruntime lacks the operator or the type
        actual = evaluate(found.module, found.ctx, inputs)
        for name, array in expected.items():
            if isinstance(array, np.ndarray) and array.dtype.kind in "fiub":
                assert actual[name].dtype == array.dtype, case.name
                np.testing.assert_allclose(actual[name], array, rtol=1e-3, atol=1e-4, err_msg=case.name)
        seen["chip" if set(found.counts()) - {"host"} else "host"] += 1
    assert seen["fused"] > 100
    assert seen["chip"] >= 10
