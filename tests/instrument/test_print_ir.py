"""The IR on standard error."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import ModuleOp

from cimc.errors import PassError
from cimc.instrument import PrintIR
from cimc.ir.text import new_context
from cimc.transforms.pipeline import Pipeline
from tests.transforms.stand_ins import Ask, Mark

LINE = Pipeline((Mark("x"), Ask("y")))


def test_after_some_passes_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    LINE.run(ModuleOp([]), new_context(), [PrintIR(["mark"])])
    out, err = capsys.readouterr()
    assert (out, err.count("IR after"), "ran.x" in err, "ran.y" in err) == ("", 1, True, False)
    LINE.run(ModuleOp([]), new_context(), [PrintIR()])
    assert [row.split()[4] for row in capsys.readouterr().err.splitlines() if "IR after" in row] == [
        "import",
        "mark",
        "ask",
    ]


def test_a_pass_that_is_not_there_is_refused_before_the_work() -> None:
    module = ModuleOp([])
    with pytest.raises(PassError) as refused:
        LINE.run(module, new_context(), [PrintIR(["ask", "hold"])])
    assert refused.value.code == "pass.unknown"
    assert "mark, ask" in str(refused.value)
    assert not module.attributes
