"""A function that has not changed is not analysed again."""

from __future__ import annotations

import pytest

from cimc.analysis.shapes.cached import kept, refined, shapes_of
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.interpreter.evaluate import main_function
from cimc.ir.onnx.dialect import NodeOp
from cimc.ir.onnx.marks import mark
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline
from models.tiny import tiny_dlrm
from tests.transforms.onnx.test_recurrent import recurrent
from tests.transforms.recognise.fusing import imported


def test_an_analysis_is_kept_until_its_function_changes() -> None:
    module, ctx = imported(tiny_dlrm(0)[0])
    function = main_function(module)
    assert kept(function, ctx) is None
    found = refined(function, ctx)
    assert shapes_of(function, ctx) is found
    assert refined(function, ctx) is found
    mark(next(op for op in function.walk() if isinstance(op, NodeOp)), whole="a reason")
    assert kept(function, ctx) is None
    assert refined(function, ctx) is not found


@pytest.mark.parametrize(("name", "most"), [("dlrm", 1), ("gru", 2)])
def test_the_frontend_analyses_what_it_makes_once(
    name: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model as imported and, with composites, what they become; not what every pass leaves."""
    module, ctx = imported(tiny_dlrm(0)[0] if name == "dlrm" else recurrent("GRU")[0])
    count, real = [0], ShapeAnalysis.__init__

    def counted(self: ShapeAnalysis, *args: object) -> None:
        count[0] += 1
        real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(ShapeAnalysis, "__init__", counted)
    Pipeline.parse(FRONTEND.removeprefix("canonicalize,")).run(module, ctx)
    assert count[0] <= most
