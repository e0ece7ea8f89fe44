"""What the shape analysis knows of a function's values, as its rules see it.

:mod:`cimc.analysis.shapes.engine` walks the function, the rules under ``rules/`` fill in what each operator
does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Attribute, Block, SSAValue

from cimc.analysis.constants import ConstantReader
from cimc.analysis.shapes.dims import Dim, Equalities, Known, Poly, symbol
from cimc.ir.tensor_store import TensorStore
from cimc.ir.types import DYNAMIC, element_of, shape_of

Shape = tuple[Known, ...]
Content = NDArray[np.object_]

CONTENT_LIMIT = 4096
"""Integer tensors of up to this many elements are followed element by element."""


@dataclass(frozen=True)
class Info:
    """What is known of a value.

    Attributes:
        shape: extents; ``None`` when not even the rank is known.
        element: element type; ``None`` when unknown or no tensor.
        content: elements of a small integer or bool tensor (``None`` where an element is unknown).
        splat: the number that all elements equal.
        sequence: for a sequence: how many tensors, and the shape that each has.
    """

    shape: tuple[Dim, ...] | None = None
    element: Attribute | None = None
    content: Content | None = None
    splat: float | None = None
    sequence: tuple[Dim, tuple[Dim, ...] | None] | None = None


class ShapeFacts(ABC):
    """Symbolic shapes and contents of values, and what rules may note of them."""

    def __init__(self, store: TensorStore) -> None:
        self.constants = ConstantReader(store)
        self._infos: dict[SSAValue, Info] = {}
        self._equal = Equalities()
        self._fresh: dict[tuple[SSAValue, int], Poly] = {}

    @abstractmethod
    def walk_body(self, block: Block) -> None:
        """Analyse the body of a loop or branch, whose arguments have been set."""

    # -- what is known ------------------------------------------------------------------------------

    def info(self, value: SSAValue) -> Info:
        """Everything known of ``value``."""
        return self._infos.get(value) or Info()

    def shape(self, value: SSAValue) -> Shape | None:
        """Extents of ``value`` in the free symbols; ``None`` when its rank is unknown."""
        found = self.info(value).shape
        if found is None:
            return None
        return tuple(_known(self._equal.resolve(d)) for d in found)

    def content(self, value: SSAValue) -> Content | None:
        """Elements of a small integer tensor in the free symbols."""
        found = self.info(value).content
        if found is None:
            return None
        out = np.empty(found.shape, object)
        out.reshape(-1)[:] = [self._equal.resolve(entry) for entry in entries(found)]
        return out

    def integers(self, value: SSAValue) -> list[int] | None:
        """The elements of ``value``, flattened, when they are known numbers."""
        found = self.content(value)
        values = [] if found is None else [e for e in entries(found) if isinstance(e, int)]
        return values if found is not None and len(values) == found.size else None

    def scalar(self, value: SSAValue) -> Dim:
        """The only element of an integer tensor."""
        found = self.content(value)
        return entries(found)[0] if found is not None and found.size == 1 else None

    def element(self, value: SSAValue) -> Attribute | None:
        """Element type of ``value``."""
        return self.info(value).element

    def alias(self, new: SSAValue, old: SSAValue) -> None:
        """``new`` replaces ``old``: all that is known of one is known of the other."""
        self._infos[new] = self.info(old)

    def record(self, value: SSAValue, shape: Sequence[Known], element: Attribute | None) -> None:
        """Note shape and element type of a value made by a rewrite."""
        self._infos[value] = Info(tuple(shape), element)

    def learn(self, value: SSAValue) -> None:
        """Take over the extents that the type of ``value`` states."""
        info, stated = self.info(value), shape_of(value.type)
        if stated is None:
            return
        known = info.shape if info.shape is not None and len(info.shape) == len(stated) else None
        shape = tuple(
            s if s != DYNAMIC else known[k] if known is not None else self.fresh(value, k)
            for k, s in enumerate(stated)
        )
        self._infos[value] = replace(info, shape=shape, element=element_of(value.type))

    # -- for the rules ------------------------------------------------------------------------------

    def equate(self, a: Dim, b: Dim) -> None:
        """An operator demands that these extents are equal."""
        self._equal.equate(a, b)

    def set(self, value: SSAValue, info: Info) -> None:
        """Note ``info``; what it leaves open comes from the declared type, or becomes a new symbol."""
        declared = shape_of(value.type)
        element = info.element if info.element is not None else element_of(value.type)
        shape = info.shape
        if shape is None and declared is not None:
            shape = tuple(None if d == DYNAMIC else d for d in declared)
        if shape is not None and declared is not None and len(shape) != len(declared):
            shape = None  # the file contradicts itself: nothing is known
        if shape is not None:
            stated = (
                declared if declared is not None and len(declared) == len(shape) else (DYNAMIC,) * len(shape)
            )
            shape = tuple(
                self._extent(value, axis, d, s) for axis, (d, s) in enumerate(zip(shape, stated, strict=True))
            )
        self._infos[value] = replace(info, shape=shape, element=element)

    def fresh(self, value: SSAValue, axis: int) -> Poly:
        """A symbol for an extent (or, with axis -1, an element) of which nothing is known."""
        key = (value, axis)
        if key not in self._fresh:
            self._fresh[key] = symbol(f"?{len(self._fresh)}")
        return self._fresh[key]

    def _extent(self, value: SSAValue, axis: int, found: Dim, stated: int) -> Dim:
        found = self._equal.resolve(found)
        if isinstance(found, int) and stated not in (DYNAMIC, found):
            return self.fresh(value, axis)  # the file contradicts itself
        if found is not None and (isinstance(found, int) or stated == DYNAMIC):
            return found
        if isinstance(found, Poly) and not any(name.startswith("?") for name in found.symbols()):
            return found  # it follows from the inputs alone, whatever the file states
        # A stated extent of an inner value is ONNX shape inference's, and that of an input a contract.
        return stated if stated != DYNAMIC else self.fresh(value, axis)


def entries(content: Content) -> list[Dim]:
    """The elements of a content in order."""
    found: list[Dim] = content.reshape(-1).tolist()
    return found


def _known(value: Dim) -> Known:
    assert value is not None
    return value
