"""What rules know of operators, held against the schemas of every operator set."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from onnx.defs import OpSchema
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Attribute

import cimc
from cimc.ir.onnx import dialect as dialect
from cimc.ir.onnx.signatures import ANY, SIGNATURES
from cimc.ir.types import f32, i64, tensor

OLDEST = 7
"""onnxruntime executes operators of older sets no more."""

BEYOND = {"Attention": {"left_window_size", "right_window_size"}, "Scan": {"directions"}}
"""Attributes that no rule knows: a node that has one stays on the host."""

NOT_READ = {
    *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    "BitCast",
}
"""Operators that the frontend names only to leave them alone."""


def schemas() -> Iterator[OpSchema]:
    """Every version, from ``OLDEST`` on, of the operators in the table."""
    versions: dict[str, list[OpSchema]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.domain and schema.name in SIGNATURES:
            versions.setdefault(schema.name, []).append(schema)
    for found in versions.values():
        last = max((s.since_version for s in found if s.since_version <= OLDEST), default=0)
        yield from (s for s in found if s.since_version >= last)


def test_every_attribute_and_input_of_every_version_is_known() -> None:
    """One that onnx adds fails here: read it, or list it as one that keeps the node on the host."""
    strange = {}
    for schema in schemas():
        known = SIGNATURES[schema.name]
        missing = set(schema.attributes) - known.attributes - set(known.neutral)
        missing -= BEYOND.get(schema.name, set())
        if (
            missing
            or min(schema.max_input, ANY) > known.inputs
            or min(schema.max_output, ANY) > known.outputs
        ):
            strange[schema.name, schema.since_version] = (missing, schema.max_input, schema.max_output)
    assert strange == {}


def test_neutral_values_are_defaults() -> None:
    checked = 0
    for schema in schemas():
        for name, text in SIGNATURES[schema.name].neutral.items():
            if name in schema.attributes:
                value = onnx.helper.get_attribute_value(schema.attributes[name].default_value)
                assert text == (value.decode() if isinstance(value, bytes) else str(value))
                checked += 1
    assert checked > 5


def test_every_operator_that_the_frontend_names_is_in_the_table() -> None:
    names = {s.name for s in onnx.defs.get_all_schemas_with_history() if not s.domain}
    named = set()
    rooms = ("analysis", "frontend", "transforms/matching", "transforms/onnx", "transforms/recognise")
    for path in (p for room in rooms for p in (Path(cimc.__path__[0]) / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in names:
                named.add(node.value)
    assert len(named) > 100
    assert named - NOT_READ - set(SIGNATURES) == set()


def relu(inputs: int = 1, outputs: int = 1, attrs: dict[str, Attribute] | None = None) -> dialect.NodeOp:
    type_ = tensor([2], f32)
    source = dialect.NodeOp("Source", [], [type_])
    return dialect.NodeOp("Relu", [source.outputs[0]] * inputs, [type_] * outputs, attrs)


@pytest.mark.parametrize(
    ("op", "strange"),
    [
        (relu(), None),
        (relu(attrs={"later": IntegerAttr(0, i64)}), "attribute 'later'"),
        (relu(inputs=2), "input 1"),
        (relu(outputs=2), "output 1"),
    ],
)
def test_what_is_not_known_makes_a_node_strange(op: dialect.NodeOp, strange: str | None) -> None:
    assert op.strange == strange
    assert op.operator == "Relu"
    assert (op.kind == "Relu") == (strange is None)


def test_inputs_that_are_left_out_are_none() -> None:
    source = relu()
    given = [source.outputs[0], dialect.NoneOp().output]
    assert dialect.NodeOp("Relu", given, [tensor([2], f32)]).strange is None


@pytest.mark.parametrize(("value", "kind"), [(1, "QuantizeLinear"), (0, "QuantizeLinear?")])
def test_neutral_values_change_nothing(value: int, kind: str) -> None:
    source = relu()
    op = dialect.NodeOp(
        "QuantizeLinear", [source.outputs[0]] * 3, [tensor([2], f32)], {"saturate": IntegerAttr(value, i64)}
    )
    assert op.kind == kind
