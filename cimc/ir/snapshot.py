"""Whether IR has changed: cheap to ask, and no pass has to say."""

from __future__ import annotations

from operator import is_

from xdsl.ir import Operation

State = list[object]
"""All that an operation consists of; the objects themselves, so that none of them is made anew meanwhile."""


def state_of(op: Operation) -> State:
    """What ``op`` and all operations in it consist of: operands, results and their types, attributes."""
    found: State = []
    _collect(op, found)
    return found


def parts_of(op: Operation) -> State:
    """What ``op`` itself consists of: operands, types of results, properties and attributes."""
    found: State = [*op._operands]
    for result in op.results:
        found.append(result.type)
    found += op.properties
    found += op.properties.values()
    if op.attributes:
        found += op.attributes
        found += op.attributes.values()
    return found


def _collect(op: Operation, found: State) -> None:
    found.append(op)
    found += parts_of(op)
    for region in op.regions:
        for block in region.blocks:
            found.append(block)
            for argument in block.args:
                found.append(argument.type)
            for inner in block.ops:
                _collect(inner, found)


def same(one: State, other: State) -> bool:
    """Whether nothing changed between two states; names and locations do not count."""
    return len(one) == len(other) and all(map(is_, one, other))
