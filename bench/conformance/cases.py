"""ONNX's node tests: which there are, which count, and the forms in which each is compiled."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, TypeProto, numpy_helper

from cimc.backend import as_array
from cimc.errors import CimcError
from cimc.host.runtime import run_onnx

Arrays = dict[str, NDArray[Any]]

PLAIN = frozenset(
    {
        TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.BOOL,
        TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
        TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
    }
)  # fmt: skip
"""Element types of tensors that count: float, int and bool."""


@dataclass(frozen=True)
class Case:
    """One node test.

    Attributes:
        op: operator that the test is about: the node's, or the one a function expands.
        model: one node, or the body of a function.
        sets: pairs of inputs and expected outputs, by name.
        rtol, atol: ONNX's tolerances.
    """

    name: str
    op: str
    model: onnx.ModelProto
    sets: tuple[tuple[Arrays, Arrays], ...]
    rtol: float
    atol: float


@cache
def node_cases() -> tuple[Case | str, ...]:
    """All node tests by name, generated in memory; for tests that carry other things than tensors, the name.

    ``onnx`` 1.21 and 1.22 ship the same tests as files, too; their generators are used here as well.
    """
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    by_name = {case.name: case for case in found}
    return tuple(_case(case, by_name) for case in sorted(found, key=lambda c: c.name))


def _case(case: Any, cases: dict[str, Any]) -> Case | str:
    values = [*case.model.graph.input, *case.model.graph.output]
    if not all(is_plain(v.type) for v in values):
        return str(case.name)
    sets = tuple(
        (_named(case.model.graph.input, inputs), _named(case.model.graph.output, outputs))
        for inputs, outputs in case.data_sets
    )
    return Case(case.name, _operator(case, cases), case.model, sets, case.rtol, case.atol)


def _named(values: Sequence[onnx.ValueInfoProto], arrays: Sequence[Any]) -> Arrays:
    return {value.name: as_array(array) for value, array in zip(values, arrays, strict=True)}


def _operator(case: Any, cases: dict[str, Any]) -> str:
    """The operator of the node or, for the body of a function, of the test whose function it is."""
    base = cases.get(str(case.name).split("_expanded")[0], case)
    return str(base.model.graph.node[0].op_type)


def is_plain(type_: TypeProto) -> bool:
    """Whether a value is a tensor of floats, integers or booleans."""
    return type_.HasField("tensor_type") and type_.tensor_type.elem_type in PLAIN


# -- what is left out ---------------------------------------------------------------------------------

OTHER_TYPES = "its values are not tensors of floats (16 bits or more), integers (8 bits or more) and booleans"
NOT_RUN = "onnxruntime cannot run it"
DISAGREES = "onnxruntime gives other numbers than ONNX"
RULES = (OTHER_TYPES, NOT_RUN, DISAGREES)


def exclusion(case: Case) -> tuple[str, str] | None:
    """The rule by which a test is left out, and what decided; ``None`` for a test that counts."""
    for inputs, expected in case.sets:
        try:
            found = run_onnx(case.model, inputs)
        except CimcError as error:
            return NOT_RUN, error.message
        difference = mismatch(found, expected, case.rtol, case.atol)
        if difference is not None:
            return DISAGREES, difference
    return None


def mismatch(found: Mapping[str, Any], expected: Arrays, rtol: float, atol: float) -> str | None:
    """How ``found`` differs from ``expected``, by ONNX's own comparison; ``None`` if it does not."""
    from onnx.backend.test.runner import Runner

    try:
        Runner.assert_similar_outputs(list(expected.values()), [found[name] for name in expected], rtol, atol)
    except AssertionError as error:
        return " ".join(str(error).split())[:300]
    return None


# -- other forms of a test ----------------------------------------------------------------------------


def with_onnxruntime(case: Case) -> Case | None:
    """``case`` with onnxruntime's outputs as the expected ones; ``None`` if these differ from run to run."""
    sets = []
    for inputs, _ in case.sets:
        once, again = run_onnx(case.model, inputs), run_onnx(case.model, inputs)
        if mismatch(again, once, 0, 0) is not None:
            return None
        sets.append((inputs, once))
    return replace(case, sets=tuple(sets))


def with_parameters(case: Case) -> Iterator[Case]:
    """``case`` with all inputs but the first as initialisers, as exporters write weights, axes and shapes.

    One per set of inputs; none where there is only one input.
    """
    graph = case.model.graph
    if len(graph.input) < 2:
        return
    for inputs, expected in case.sets:
        model = _copy(case.model)
        first, *others = (value.name for value in graph.input)
        model.graph.initializer.extend(numpy_helper.from_array(inputs[name], name) for name in others)
        if model.ir_version >= 4:  # before, initialisers had to be inputs as well
            del model.graph.input[1:]
        yield replace(case, model=model, sets=(({first: inputs[first]}, expected),))


def with_open_batch(case: Case) -> Case | None:
    """``case`` with one input, whose dimension 0 is left open, for several batch sizes.

    Expected is what onnxruntime gives; ``None`` where it accepts no other size, or there are more inputs.
    """
    weights = {tensor.name for tensor in case.model.graph.initializer}
    inputs = [value for value in case.model.graph.input if value.name not in weights]
    if len(inputs) != 1 or not case.sets[0][0][inputs[0].name].ndim:
        return None
    name, array = inputs[0].name, case.sets[0][0][inputs[0].name]
    model = _copy(case.model)
    for value in model.graph.input:
        if value.name == name:
            value.type.tensor_type.shape.dim[0].dim_param = "N"
    for value in model.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            dim.Clear()
    sets = []
    for batch in (array, array[:1], np.concatenate([array, array[::-1]])):
        try:
            sets.append(({name: batch}, run_onnx(model, {name: batch})))
        except CimcError:
            continue
    return replace(case, model=model, sets=tuple(sets)) if len(sets) > 1 else None


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
