"""Integers in IR text: in full, or by name, shape, digest and histogram; both round-trip."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.parser import Parser
from xdsl.printer import Printer

from cimc.errors import PassError
from cimc.ir.cim import NumbersAttr
from cimc.ir.cim.histograms import Histogram
from cimc.ir.cim.number_table import IN_FULL
from cimc.ir.tensor_store import TensorStore
from cimc.ir.text import new_context


def text_of(attr: NumbersAttr) -> str:
    stream = StringIO()
    Printer(stream=stream).print_attribute(attr)
    return stream.getvalue()


def number_of(array: np.ndarray) -> Histogram:
    return (('all, "quoted"', len(array)),)


def made(array: np.ndarray, store: TensorStore) -> NumbersAttr:
    return NumbersAttr.of(array, store, "strange name", number_of)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_round_trip(shape: list[int], seed: int) -> None:
    array = np.random.default_rng(seed).integers(-(2**31), 2**31, shape).astype(np.int32)
    store = TensorStore()
    attr = made(array, store)
    assert (attr.symbol is None) == (array.size <= IN_FULL) == (len(store) == 0)
    again = Parser(new_context(), text_of(attr)).parse_attribute()
    assert again == attr
    assert isinstance(again, NumbersAttr)
    found = again.array(store, np.int32)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, array)
    again.check(store, "it")


def test_text() -> None:
    store = TensorStore()
    assert text_of(made(np.array([[1, -2], [3, 4]]), store)) == "#cim.numbers<[[1, -2], [3, 4]]>"
    large = np.arange(70, dtype=np.int32).reshape(35, 2)
    assert text_of(made(large, store)) == (
        f'#cim.numbers<@"strange name" [35, 2] digest "{store.digest("strange name")}" '
        '{"all, \\22quoted\\22": 35}>'
    )
    assert made(large, store).symbol == "strange name_1"  # nothing in the store is overwritten


def test_arrays_are_held_against_the_text() -> None:
    large = np.arange(70, dtype=np.int32)
    store = TensorStore()
    attr = made(large, store)
    attr.check(TensorStore(), "it")  # where nobody loaded the array there is nothing to compare
    for other in (large[:69], large[::-1].copy(), large.astype(np.int64)):
        store.put("strange name", other)
        with pytest.raises(PassError) as error:
            attr.check(store, "it")
        assert error.value.code == "ir.other-data"
    with pytest.raises(PassError) as error:
        attr.array(TensorStore(), np.int32)
    assert error.value.code == "ir.missing-data"
