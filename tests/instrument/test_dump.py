"""Dumps hold the attempt that fitted, and the arrays of all its steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from cimc.errors import CimcError, InfeasibleError
from cimc.instrument import DumpIR
from cimc.ir.context import compiler_context
from cimc.ir.tensor_store import TensorStore
from cimc.ir.text import new_context
from cimc.transforms.pipeline import Pipeline
from tests.transforms.stand_ins import Ask, Asked, Hold, Mark


class Keep(Mark):
    """Drops the array of its label's predecessor, and makes its own, of what was asked for."""

    name = "keep"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        said = data.remarks.of(Asked)
        asked = 0 if said is None else said.bytes
        data.store.put(f"of{asked}", np.full(2, asked))
        data.store.remove("given")


def test_files_and_arrays_are_those_of_the_attempt_that_fitted(tmp_path: Path) -> None:
    ctx = new_context()
    ctx.store.put("given", np.ones(3))
    line = Pipeline((Ask("ask", 4), Keep("keep"), Hold("hold")))
    line.run(ModuleOp([]), ctx, [DumpIR(tmp_path / "new" / "ir")])
    folder = tmp_path / "new" / "ir"
    names = ["00-import.mlir", "01-ask.mlir", "02-keep.mlir", "03-hold.mlir", "data.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert sorted(TensorStore.load(folder / "data.safetensors")) == ["given", "of2"]
    assert "ran.hold" not in (folder / "02-keep.mlir").read_text()
    assert "ran.hold" in (folder / "03-hold.mlir").read_text()


def test_an_attempt_that_fails_earlier_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    line = Pipeline((Ask("ask", 4), Hold("a", 4), Mark("m"), Hold("b", 3), Hold("c", 0)))
    with pytest.raises(InfeasibleError):
        line.run(ModuleOp([]), new_context(), [DumpIR(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir())[-1] == "04-hold.mlir"
    assert "asked" not in (tmp_path / "00-import.mlir").read_text()


def test_a_folder_that_cannot_be_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CimcError) as refused:
        DumpIR(tmp_path / "file" / "ir")
    assert refused.value.code == "io.cannot-write"
