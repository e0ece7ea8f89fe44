"""What the verifier demands of tables whose rows have scales of their own, and of ids that are dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cimc.errors import ProgramError
from cimc.isa.instructions import Instr, Ref, instr
from cimc.isa.program import Program
from cimc.isa.verify import verify_program
from tests.isa.test_verify import TARGET, program

SCALES = np.linspace(0.5, 1.5, 9).astype(np.float32)


def bag(mode: str = "sum", scale: float = 1.0) -> Instr:
    return instr("bag", dst=Ref(0), port=1, matrix=1, mode=mode, scale=scale, idbits=32)


def scaled(code: list[Instr], pool_rows: int = 1, **data: Any) -> Program:
    """A program that reads table ``t`` with further arrays."""
    made = program({3: code})
    dense, table = made.matrices
    made.data.update({f"t.{name}": array for name, array in data.items()})
    return replace(made, matrices=(dense, replace(table, pool_rows=pool_rows)))


def test_a_table_with_scales_of_its_rows_passes() -> None:
    verify_program(scaled([bag()], row_scales=SCALES, row_biases=-SCALES), TARGET)


@pytest.mark.parametrize(
    ("data", "pool_rows", "scale", "why"),
    [
        ({"row_scales": SCALES}, 18, 1.0, "read one at a time"),
        ({"row_scales": SCALES}, 1, 0.5, "scales of their own"),
        ({"row_scales": SCALES[1:]}, 1, 1.0, "not float32 \\[9\\]"),
        ({"row_scales": SCALES.astype(np.float64)}, 1, 1.0, "not float32"),
        ({"row_scales": SCALES - 0.5}, 1, 1.0, "not positive"),
        ({"row_scales": SCALES * np.float32(np.inf)}, 1, 1.0, "not finite"),
        ({"row_scales": SCALES, "row_biases": SCALES * np.float32(np.nan)}, 1, 1.0, "not finite"),
        ({"row_biases": SCALES}, 1, 1.0, "without scales"),
    ],
)
def test_scales_that_are_refused(data: dict[str, Any], pool_rows: int, scale: float, why: str) -> None:
    with pytest.raises(ProgramError, match=why):
        verify_program(scaled([bag(scale=scale)], pool_rows, **data), TARGET)


def test_a_layer_has_no_scales_of_rows() -> None:
    made = program({3: []})
    made.data["w.row_scales"] = SCALES[:6]
    with pytest.raises(ProgramError, match="is no table"):
        verify_program(made, TARGET)


@pytest.mark.parametrize("mode", ["sum", "none"])
def test_ids_are_dropped_only_from_bags_that_are_pooled(mode: str) -> None:
    ids = [
        instr("load", dst=Ref(0), port=0, n=6),
        instr("cast", dst=Ref(24), src=Ref(0), n=6, to="i32"),
    ]
    code = instr(
        "lookup",
        dst=Ref(48),
        ids=Ref(24),
        matrix=1,
        mode=mode,
        scale=1.0,
        n=6,
        drop="equal",
        pad=-1,
        idbits=32,
    )
    if mode == "sum":
        verify_program(program({3: [*ids, code]}), TARGET)
        return
    with pytest.raises(ProgramError, match="keeps every row"):
        verify_program(program({3: [*ids, code]}), TARGET)
