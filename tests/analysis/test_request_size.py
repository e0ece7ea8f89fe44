"""What one request holds of a value."""

from __future__ import annotations

import pytest
from xdsl.ir import Attribute, Block

from cimc.analysis.request_size import element_bytes, request_bytes, request_shape
from cimc.errors import PassError
from cimc.ir.cim import u8
from cimc.ir.types import f32, i8, i64, tensor


@pytest.mark.parametrize(
    ("dims", "element", "size"),
    [((-1, 3, 4), f32, 48), ((-1, 3, 4), i8, 12), ((5, 7), u8, 7), ((-1,), i64, 4)],
)
def test_bytes_without_the_batch(dims: tuple[int, ...], element: Attribute, size: int) -> None:
    (value,) = Block(arg_types=[tensor(dims, element)]).args
    assert request_bytes(value) == size
    assert request_shape(value) == dims[1:]
    assert element_bytes(value) == (1 if element in (i8, u8) else 4)


def test_sizes_that_vary_are_refused() -> None:
    (value,) = Block(arg_types=[tensor((-1, -1, 4))]).args
    with pytest.raises(PassError, match=r"\['\?', '\?', 4\]") as error:
        request_bytes(value)
    assert error.value.code == "schedule.dynamic-shape"
