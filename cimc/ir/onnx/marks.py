"""What passes tell each other of an ``onnx.node``, in its property ``marks``.

A node without marks is a node of the model.  The marks of others, by key:

=============  ==============================================================================================
``helper``     made by a pass, and no node of the model (unit)
``composite``  number of the composite that the node is a part of; ``of`` its operator, ``node`` its name
``was``        the operator that the model has in this place, where a pass put another one
``whole``      why the node is not taken apart
``by``         the recogniser that gave it to the chip; ``operations`` in front of the node compute it there,
               ``values`` are, for each result, which of their results stands for it (-1: none)
``misses``     why recognisers left it: ``[recogniser, reason]``, with ``"far"`` if hardly resembling
``noted``      the place of the node in the order in which that was found out
=============  ==============================================================================================

Marks last until ``outline-host``, which takes them away.
"""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import DenseArrayBase, DictionaryAttr, IntegerAttr, StringAttr, UnitAttr
from xdsl.ir import Attribute, Operation, SSAValue

from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import i64

HELPER, COMPOSITE, OF, NODE, WAS, WHOLE = "helper", "composite", "of", "node", "was", "whole"
BY, OPERATIONS, VALUES, MISSES, NOTED = "by", "operations", "values", "misses", "noted"


def marks(op: onnx.NodeOp) -> dict[str, Attribute]:
    """A copy of the marks of ``op``."""
    return dict(op.marks.data) if op.marks is not None else {}


def mark(op: onnx.NodeOp, **new: str | int | Attribute | None) -> None:
    """Set marks of ``op``; ``None`` takes one away."""
    found = marks(op)
    for key, value in new.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, str):
            found[key] = StringAttr(value)
        else:
            found[key] = IntegerAttr(value, i64) if isinstance(value, int) else value
    set_marks(op, found)


def set_marks(op: onnx.NodeOp, found: dict[str, Attribute]) -> None:
    """Replace all marks of ``op``."""
    if not found:
        op.properties.pop("marks", None)
    elif op.marks is None or op.marks.data != found:
        op.properties["marks"] = DictionaryAttr(found)


def helper(op: onnx.NodeOp) -> onnx.NodeOp:
    """``op``, marked as made by a pass."""
    mark(op, helper=UnitAttr())
    return op


def text(op: onnx.NodeOp, key: str) -> str | None:
    """The mark ``key`` if it is a string."""
    value = _get(op, key)
    return value.data if isinstance(value, StringAttr) else None


def number(op: onnx.NodeOp, key: str) -> int | None:
    """The mark ``key`` if it is a number."""
    value = _get(op, key)
    return value.value.data if isinstance(value, IntegerAttr) else None


def is_helper(op: onnx.NodeOp) -> bool:
    """Whether a pass made ``op`` for no node of the model in particular."""
    return _get(op, HELPER) is not None


def made_for(op: onnx.NodeOp) -> list[Operation]:
    """The operations right in front of ``op`` that compute it on the chip, in order."""
    found: list[Operation] = []
    before: Operation | None = op
    for _ in range(number(op, OPERATIONS) or 0):
        before = before.prev_op if before is not None else None
        if before is not None:
            found.append(before)
    return found[::-1]


def stand_ins(op: onnx.NodeOp) -> list[SSAValue | None]:
    """For each result of a node that was given to the chip, what stands for it."""
    places = _get(op, VALUES)
    numbers = places.get_values() if isinstance(places, DenseArrayBase) else ()
    results = [result for each in made_for(op) for result in each.results] if numbers else []
    return [results[k] if 0 <= k < len(results) else None for k in numbers]


def _get(op: onnx.NodeOp, key: str) -> Any:
    return op.marks.data.get(key) if op.marks is not None else None
