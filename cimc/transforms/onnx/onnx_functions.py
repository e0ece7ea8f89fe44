"""What the passes between ``canonicalize`` and ``outline-host`` ask of a module before they begin."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from xdsl.dialects.builtin import IntegerAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp

from cimc.errors import PassError
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import i64

OFFLOAD = "onnx.offload"
"""Attribute of a function that ``plan-offload`` has been through: a :class:`Planned`."""
NODES = "onnx.nodes"
"""Attribute of a function that passes rewrite: how many nodes the model has."""


class Planned(Enum):
    """What is meant to become of a function, as :data:`OFFLOAD` says it."""

    PLAIN = "plain"
    """Its operators are those of the model."""
    CHANGED = "changed"
    """Operators were taken apart, or compute otherwise than in the model, for the chip's sake."""
    HOST = "host"
    """Nothing of it goes to the chip: it is left as the model has it."""


def functions(module: ModuleOp) -> list[FuncOp]:
    """Functions that are not in the ``rec`` dialect yet: with nodes that no host segment holds, or empty."""
    found = [f for f in module.body.block.ops if isinstance(f, FuncOp)]
    return [f for f in found if _is_open({o.name for o in f.body.block.ops})]


def _is_open(names: set[str]) -> bool:
    return names <= {"func.return"} or any(name.startswith("onnx.") for name in names)


def plain_functions(module: ModuleOp, name: str) -> Iterator[FuncOp]:
    """Functions that pass ``name`` may rewrite.

    Raises:
        PassError: ``pass.after-recognise`` or ``pass.needs-plan-offload``.
    """
    for function in onnx_functions(module, name):
        need_no_composites(function, name)
        yield function


def onnx_functions(module: ModuleOp, name: str) -> Iterator[FuncOp]:
    """Functions that pass ``name`` may rewrite, composites or not; how many nodes they have is noted.

    Raises:
        PassError: ``pass.after-recognise``.
    """
    for function in functions(module):
        need_onnx_alone(function, name)
        count_nodes(function)
        yield function


def need_onnx_alone(function: FuncOp, name: str) -> None:
    """Nothing of ``function`` has been recognised yet."""
    if any(op.name.startswith(("rec.", "cim.")) for op in function.body.block.ops):
        raise PassError(
            "pass.after-recognise",
            f"pass '{name}' works on the onnx dialect alone, and 'recognise' has been here",
            hint=f"put '{name}' before 'recognise'",
        )


def need_no_composites(function: FuncOp, name: str) -> None:
    """Of every composite of ``function`` one form was chosen."""
    if any(isinstance(op, onnx.CompositeOp) for op in function.body.block.ops):
        raise PassError(
            "pass.needs-plan-offload",
            f"pass '{name}' found an onnx.composite, of which neither form was chosen",
            hint=f"run 'plan-offload' between 'expand-composites' and '{name}'",
        )


def planned(function: FuncOp) -> Planned | None:
    """What ``plan-offload`` and passes after it meant to do; ``None`` if it has not run."""
    found = function.attributes.get(OFFLOAD)
    return Planned(found.data) if isinstance(found, StringAttr) else None


def set_planned(function: FuncOp, what: Planned) -> None:
    """Say what is meant to become of ``function``."""
    function.attributes[OFFLOAD] = StringAttr(what.value)


def is_host_only(function: FuncOp) -> bool:
    """Whether ``function`` is left as the model has it."""
    return planned(function) is Planned.HOST


def changed(function: FuncOp) -> None:
    """A pass changes the arithmetic of ``function``."""
    if planned(function) is not None:
        set_planned(function, Planned.CHANGED)


def update_type(function: FuncOp) -> None:
    """Let the type of ``function`` be that of its arguments and of what it returns."""
    before = function.function_type
    function.update_function_type()  # type: ignore[no-untyped-call]
    if function.function_type == before:
        function.properties["function_type"] = before  # the same object: nothing has changed


def count_nodes(function: FuncOp) -> None:
    """Remember how many nodes the model has, before the first of them is replaced."""
    if NODES not in function.attributes:
        ops = function.body.block.ops
        count = sum(isinstance(o, onnx.NodeOp | onnx.CompositeOp) for o in ops)
        function.attributes[NODES] = IntegerAttr(count, i64)
