"""Attributes that are missing, doubled, of another type, or extreme."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import AttributeProto, helper

from tests.fuzz.subject import Subject, mutation

INTEGERS = (
    0,
    1,
    2,
    3,
    -1,
    -2,
    -3,
    5,
    7,
    10,
    64,
    1000,
    2**31 - 1,
    2**31,
    2**40,
    2**63 - 1,
    -(2**31),
    -(2**63),
)
REALS = (0.0, -0.0, 1.0, -1.0, 1e-30, 1e30, 3.4e38, float("inf"), float("-inf"), float("nan"))
NAMES = (
    "axis", "axes", "perm", "keepdims", "to", "alpha", "beta", "transA", "transB", "value",
    "noop_with_empty_axes", "batch_dims", "equation", "mode", "allowzero", "exclusive", "reverse",
    "largest", "sorted", "epsilon", "body", "then_branch", "else_branch", "upper", "num_outputs", "start",
    "end", "value_int", "value_floats", "nobody",
)  # fmt: skip


def _picked(s: Subject) -> tuple[onnx.NodeProto, AttributeProto] | None:
    found = [(n, a) for n in s.nodes() for a in n.attribute]
    return s.rng.choice(found) if found else None


def _value(s: Subject) -> Any:
    """A value of any attribute type that ``make_attribute`` can tell apart."""
    rng = s.rng
    return rng.choice(
        [
            lambda: rng.choice(INTEGERS),
            lambda: rng.choice(REALS),
            lambda: [rng.choice(INTEGERS) for _ in range(rng.choice([1, 2, 3, 9]))],
            lambda: [rng.choice(REALS) for _ in range(rng.choice([1, 2, 9]))],
            lambda: rng.choice(["", "ij,jk->ik", "constant", "\x00\x1b[2J", "x" * 5000, "...,i->...i"]),
            lambda: helper.make_tensor(
                "t", onnx.TensorProto.INT64, [2], [rng.choice(INTEGERS) for _ in range(2)]
            ),
            lambda: helper.make_tensor("t", onnx.TensorProto.FLOAT, [], [rng.choice(REALS)]),
        ]
    )()


@mutation
def drop_attribute(s: Subject) -> Any:
    picked = _picked(s)
    if picked is None:
        return False
    picked[0].attribute.remove(picked[1])
    return None


@mutation
def repeat_attribute(s: Subject) -> Any:
    picked = _picked(s)
    if picked is None:
        return False
    picked[0].attribute.append(picked[1])
    return None


@mutation
def change_integer_attribute(s: Subject) -> Any:
    found = [a for n in s.nodes() for a in n.attribute if a.type in (AttributeProto.INT, AttributeProto.INTS)]
    if not found:
        return False
    attribute = s.rng.choice(found)
    if attribute.type == AttributeProto.INT:
        attribute.i = s.rng.choice(INTEGERS)
        return None
    kind = s.rng.randrange(4)
    if kind == 0 or not attribute.ints:
        attribute.ints.append(s.rng.choice(INTEGERS))
    elif kind == 1:
        del attribute.ints[s.rng.randrange(len(attribute.ints))]
    elif kind == 2:
        attribute.ints[s.rng.randrange(len(attribute.ints))] = s.rng.choice(INTEGERS)
    else:
        values = list(attribute.ints)
        s.rng.shuffle(values)
        attribute.ints[:] = values
    return None


@mutation
def change_real_attribute(s: Subject) -> Any:
    found = [a for n in s.nodes() for a in n.attribute if a.type == AttributeProto.FLOAT]
    if not found:
        return False
    s.rng.choice(found).f = s.rng.choice(REALS)
    return None


@mutation
def retype_attribute(s: Subject) -> Any:
    """Another value under the same name."""
    picked = _picked(s)
    if picked is None:
        return False
    node, attribute = picked
    name = attribute.name
    node.attribute.remove(attribute)
    node.attribute.append(helper.make_attribute(name, _value(s)))
    return None


@mutation
def lie_about_attribute_type(s: Subject) -> Any:
    """The type field says something else than what is filled in."""
    picked = _picked(s)
    if picked is None:
        return False
    picked[1].type = s.rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 13])
    return None


@mutation
def add_attribute(s: Subject) -> Any:
    node = s.node()
    if node is None:
        return False
    node.attribute.append(helper.make_attribute(s.rng.choice(NAMES), _value(s)))
    return None


@mutation
def attribute_refers_to_function(s: Subject) -> Any:
    """``ref_attr_name`` is for bodies of functions alone."""
    picked = _picked(s)
    if picked is None:
        return False
    picked[1].ref_attr_name = s.rng.choice(["alpha", "nobody", picked[1].name])
    return None
