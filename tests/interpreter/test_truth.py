"""Truth values and products of any rank in the rec dialect."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.test import TestOp
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import VerifyException

from cimc.interpreter import numerics
from cimc.ir import rec
from cimc.ir.types import f32, i1, i64, tensor


def value(*dims: int, element=f32) -> SSAValue:  # type: ignore[no-untyped-def]
    return TestOp(result_types=[tensor(dims, element)]).results[0]


def test_comparisons_give_truth_values() -> None:
    op = rec.BinaryOp("less", value(-1, 4), value(1, 4))
    op.verify_()
    assert op.result.type == tensor((-1, 4), i1)


def test_a_mask_keeps_the_type_of_what_it_masks() -> None:
    op = rec.BinaryOp("mask", value(-1, 4, element=i64), value(-1, 1, element=i1))
    assert op.result.type == tensor((-1, 4), i64)


@pytest.mark.parametrize(
    ("kind", "a", "b"), [("mask", f32, f32), ("add", i1, i1), ("less", i1, i1), ("equal", f32, i64)]
)
def test_what_truth_values_have_not(kind, a, b) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(VerifyException):
        rec.BinaryOp(kind, value(-1, 4, element=a), value(-1, 4, element=b))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((-1, 2, 3, 4), (-1, 4, 5)),
        ((-1, 2, 3, 4), (-1, 3, 4, 5)),
        ((-1, 4), (-1, 4)),
        ((-1, 3, 4), (-1, 3, 5)),
    ],
)
def test_factors_must_fit(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(VerifyException):
        rec.MatmulOp(value(*a), value(*b))


def test_product_of_any_rank() -> None:
    assert rec.MatmulOp(value(-1, 2, 3, 4), value(-1, 2, 4, 5)).result.type == tensor((-1, 2, 3, 5))
    a = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    b = np.arange(40, dtype=np.float32).reshape(1, 2, 4, 5)
    np.testing.assert_array_equal(numerics.matmul(a, b), a @ b)


def test_what_is_masked_out_is_zero_even_if_infinite() -> None:
    x = np.array([np.inf, np.nan, 3.0], np.float32)
    np.testing.assert_array_equal(numerics.binary("mask", x, np.array([False, False, True])), [0, 0, 3])
