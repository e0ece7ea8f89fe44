"""What the compiler's verifiers refuse of its own work is a bug; of a user's text, the user's error."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

import cimc
from cimc.cli.main import BUG
from cimc.errors import CimcError
from cimc.ir import cim, rec
from cimc.ir.types import tensor
from cimc.transforms.codegen import lower
from cimc.transforms.partition.group_rows import Group
from tests.cli.tiny_files import Tiny, call


def _no_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``lower`` that forgets to bring values in: the program reads what nobody wrote."""
    for kind in (cim.LoadOp, cim.LoadQuantizedOp):
        monkeypatch.setitem(lower.EMITTERS, kind, lambda segment, op: [])


def _wrong_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``group`` that gives a value another type."""

    def apply(self: Group, ctx: Context, op: ModuleOp) -> None:
        product = next(o for o in op.walk() if isinstance(o, cim.MvmOp))
        product.result._type = tensor((-1, 3))

    monkeypatch.setattr(Group, "apply", apply)


def _raises_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``group`` that fails when it makes an operation."""

    def apply(self: Group, ctx: Context, op: ModuleOp) -> None:
        product = next(o for o in op.walk() if isinstance(o, cim.MvmOp))
        rec.ConcatOp([product.x], 0).verify_()

    monkeypatch.setattr(Group, "apply", apply)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [(_no_loads, "isa.invalid"), (_wrong_types, "ir.invalid"), (_raises_itself, "pass.failed")],
)
def test_a_pass_that_makes_nonsense_of_a_model_is_a_bug(
    spoil: object, code: str, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(spoil)
    spoil(monkeypatch)
    done = call("compile", tiny.model, "-o", tmp_path / "p.cimc", "--calib", tiny.calib, "--json")
    assert done.code == BUG, done.err
    assert done.json["error"]["code"] == "internal"
    assert "Traceback" in done.err
    assert "Please report it" in done.err
    assert f"[{code}]" in done.err
    assert not list(tmp_path.iterdir())
    with pytest.raises(cimc.InternalError) as error:
        cimc.compile(tiny.model)
    assert isinstance(error.value.__cause__, CimcError)
    assert error.value.__cause__.code == code
    assert not isinstance(error.value, CimcError)


def test_ir_that_a_user_wrote_is_the_users(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = tmp_path / "dump"
    done = call("compile", tiny.model, "-o", tmp_path / "p.cimc", "--calib", tiny.calib, "--dump-ir", dump)
    assert done.code == 0, done.err
    (scheduled,) = dump.glob("*-schedule.mlir")
    command = ("opt", scheduled, "--data", dump / "data.safetensors", "--target", "tsinghua28")
    _no_loads(monkeypatch)
    done = call(*command, "--pipeline", "lower")
    assert done.code == 2, done.err
    assert "[isa.invalid]" in done.err
    assert "Traceback" not in done.err
    text = scheduled.read_text(encoding="utf-8")
    scheduled.write_text(text.replace("cim.mvm", "cim.nvm", 1), encoding="utf-8")
    done = call(*command)
    assert done.code == 2, done.err
