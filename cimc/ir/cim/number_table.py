"""``#cim.numbers``: integers that a pass decided on, small tables in full, large ones by name and digest.

In full: ``<[[0, 37, 0, 7]]>``: the text is all there is, and may be edited by hand.  By name:
``<@t.blocks [66015, 4] digest "0f3a..." {"512x16": 66014, "37x16": 1}>``: the numbers are in the store, the
text says how many they are, how they are distributed, and what their digest is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from xdsl.ir import Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer

from cimc.errors import PassError
from cimc.ir.cim.histograms import Histogram
from cimc.ir.tensor_store import TensorStore

IN_FULL = 64
"""Numbers that the text shows in full; of more it shows a histogram."""

_SQUARE, _BRACES = AttrParser.Delimiter.SQUARE, AttrParser.Delimiter.BRACES


Summary = Callable[[NDArray[Any]], Histogram]
"""What the text shows of a large array."""


@dataclass(frozen=True)
class Numbers:
    """An integer array of ``shape``: its ``values`` in row-major order, or ``symbol`` and ``digest``."""

    shape: tuple[int, ...]
    values: tuple[int, ...] = ()
    symbol: str | None = None
    digest: str = ""
    histogram: Histogram = ()


@irdl_attr_definition
class NumbersAttr(Data[Numbers]):
    """An integer array in the IR."""

    name = "cim.numbers"

    @classmethod
    def of(cls, array: NDArray[Any], store: TensorStore, name: str, summary: Summary) -> NumbersAttr:
        """``array`` in full if it is small, else put into ``store`` under ``name`` or one made from it."""
        shape = tuple(array.shape)
        if array.size <= IN_FULL:
            return cls(Numbers(shape, tuple(array.ravel().tolist())))
        symbol = store.add(name, array)
        return cls(Numbers(shape, (), symbol, store.digest(symbol), summary(array)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the array."""
        return self.data.shape

    @property
    def symbol(self) -> str | None:
        """Its name in the store; ``None`` where the text has it in full."""
        return self.data.symbol

    @property
    def inline(self) -> NDArray[np.int64] | None:
        """The array where the text has it in full, int64 of :attr:`shape`."""
        if self.data.symbol is not None:
            return None
        return np.array(self.data.values, np.int64).reshape(self.data.shape)

    def array(self, store: TensorStore, dtype: DTypeLike) -> NDArray[Any]:
        """The array as ``dtype``; not to be written to.

        Raises:
            PassError: ``ir.missing-data``.
        """
        if self.data.symbol is not None:
            return store[self.data.symbol].astype(dtype, copy=False)
        return np.array(self.data.values, dtype).reshape(self.data.shape)

    def check(self, store: TensorStore, what: str) -> None:
        """Compare with the array in ``store``, if that has it; ``what`` begins the message.

        Raises:
            PassError: ``ir.other-data``.
        """
        name = self.data.symbol
        if name is None or name not in store:
            return
        found, digest = tuple(store[name].shape), store.digest(name)
        if (found, digest) != (self.data.shape, self.data.digest):
            raise PassError(
                "ir.other-data",
                f"{what} says that @{name} is {list(self.data.shape)} with digest {self.data.digest}, "
                f"the array of that name is {list(found)} with digest {digest}",
                hint="give the arrays that were written with this text",
            )

    # -- text ---------------------------------------------------------------------------------------

    def print_parameter(self, printer: Printer) -> None:
        """``<nested lists>`` or ``<@name [shape] digest "..." {"bin": count, ...}>``."""
        numbers = self.data
        with printer.in_angle_brackets():
            if numbers.symbol is None:
                printer.print_string(str(np.array(numbers.values, np.int64).reshape(numbers.shape).tolist()))
                return
            printer.print_symbol_name(numbers.symbol)
            printer.print_string(f" {list(numbers.shape)} digest ")
            printer.print_string_literal(numbers.digest)
            printer.print_string(" ")
            with printer.in_braces():
                printer.print_list(numbers.histogram, lambda b: _print_bin(printer, b))

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Numbers:
        """The inverse of :meth:`print_parameter`."""
        with parser.in_angle_brackets():
            name = parser.parse_optional_symbol_name()
            if name is None:
                return _in_full(parser)
            shape = parser.parse_comma_separated_list(_SQUARE, parser.parse_integer)
            parser.parse_keyword("digest")
            digest = parser.parse_str_literal()
            bins = parser.parse_comma_separated_list(_BRACES, lambda: _bin(parser))
            return Numbers(tuple(shape), (), name.data, digest, tuple(bins))


def _print_bin(printer: Printer, each: tuple[str, int]) -> None:
    printer.print_string_literal(each[0])
    printer.print_string(f": {each[1]}")


def _bin(parser: AttrParser) -> tuple[str, int]:
    label = parser.parse_str_literal()
    parser.parse_punctuation(":")
    return label, parser.parse_integer()


def _in_full(parser: AttrParser) -> Numbers:
    values: list[int] = []

    def rest() -> tuple[int, ...]:
        """The shape of what follows."""
        at = parser.pos
        parts = parser.parse_optional_comma_separated_list(_SQUARE, rest)
        if parts is None:
            values.append(parser.parse_integer())
            return ()
        if not parts or len(set(parts)) > 1:
            parser.raise_error("an array has as many numbers in each row, and at least one", at)
        return (len(parts), *parts[0])

    shape = rest()
    if not shape or math.prod(shape) > IN_FULL:
        parser.raise_error(f"a list of at most {IN_FULL} numbers expected; larger arrays stand in the store")
    return Numbers(shape, tuple(values))
