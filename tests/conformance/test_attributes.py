"""No attribute is passed over: each is set to values that nobody sets, in every version that has it.

The nodes are those of ONNX's own tests, their parameters constant and dimension 0 left open, all of what the
vector unit can do sent there.  What onnxruntime runs must come out as it says; whether on the chip or on the
host is the compiler's choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import onnx
from onnx import AttributeProto, helper
from onnx.defs import OpSchema

from bench.conformance.cases import Case, node_cases, with_parameters
from cimc.errors import CimcError
from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate
from cimc.ir.context import Requests
from cimc.ir.onnx.signatures import SIGNATURES
from tests.transforms.recognise.fusing import imported, recognise

OLDEST = 9
TYPES = {"to", "dtype", "output_dtype", "stash_type", "precision", "softmax_precision"}
WORDS = {
    "mode": ["constant", "reflect", "edge", "wrap"],
    "auto_pad": ["SAME_UPPER", "SAME_LOWER", "VALID"],
    "reduction": ["add", "mul", "max"],
    "approximate": ["tanh"],
    "direction": ["reverse", "bidirectional"],
}
UNDEFINED = {("Cast", "saturate"), ("CastLike", "saturate"), ("Attention", "qk_matmul_output_mode")}
"""What onnxruntime gives for other values of these differs from run to run."""


def values(name: str, schema: OpSchema, now: object) -> list[object]:
    """Values to try for an attribute, other than the one it has."""
    kind = int(schema.attributes[name].type.value)
    found: list[object] = []
    if kind == AttributeProto.INT:
        found = [1, 7, 6, 9] if name in TYPES else [0, 1, 2, -1]
    elif kind == AttributeProto.FLOAT:
        found = [0.3, 2.0]
    elif kind == AttributeProto.STRING:
        found = list(WORDS.get(name, []))
    elif kind == AttributeProto.INTS and isinstance(now, list):
        found = [now[::-1], [v + 1 for v in now], now[1:]]
    elif kind == AttributeProto.INTS:
        found = [[0], [1], [1, 1], [1, 0], [0, 2, 1]]
    return [v for v in found if v != now]


def versions(op: str) -> list[OpSchema]:
    """The newest schema of an operator, and each older one with other attributes than the next."""
    found = [s for s in onnx.defs.get_all_schemas_with_history() if s.name == op and not s.domain]
    found.sort(key=lambda s: s.since_version)
    chosen = [a for a, b in pairwise(found) if set(a.attributes) != set(b.attributes)] + found[-1:]
    ends = {a.since_version: b.since_version - 1 for a, b in pairwise(found)}
    return [s for s in chosen if ends.get(s.since_version, OLDEST) >= OLDEST]


def bases() -> dict[str, list[Case]]:
    """A node test for each operator that has attributes."""
    found: dict[str, list[Case]] = {}
    for case in node_cases():
        if isinstance(case, str) or case.op not in SIGNATURES or len(case.model.graph.node) != 1:
            continue
        known = SIGNATURES[case.op]
        chosen = found.setdefault(case.op, [])
        if not (known.attributes or known.neutral) or not case.model.graph.input:
            continue
        if not chosen and case.model.graph.node[0].op_type == case.op:
            chosen += list(with_parameters(case))[:1] or [case]
    return found


def mutant(case: Case, schema: OpSchema, name: str, value: object) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    for domain in model.opset_import:
        if not domain.domain:
            domain.version = max(schema.since_version, OLDEST)
    node = model.graph.node[0]
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    kind = int(schema.attributes[name].type.value)
    node.attribute.extend([*kept, helper.make_attribute(name, value, attr_type=kind)])
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    shape = model.graph.input[0].type.tensor_type.shape
    if shape.dim:
        shape.dim[0].dim_param = "N"
    return model


def mutants() -> Iterator[tuple[str, onnx.ModelProto, Requests]]:
    for op, cases in sorted(bases().items()):
        for case in cases:
            node = case.model.graph.node[0]
            now = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            for schema in versions(op):
                for name in sorted(set(schema.attributes) - {k for o, k in UNDEFINED if o == op}):
                    for value in values(name, schema, now.get(name)):
                        label = f"{case.name}, set {schema.since_version}, {name} = {value}"
                        yield label, mutant(case, schema, name, value), case.sets[0][0]


def test_no_attribute_is_passed_over() -> None:
    seen: Counter[str] = Counter()
    for label, model, requests in mutants():
        try:
            expected = run_onnx(model, requests)
        except CimcError:
            continue  # no value that the operator takes, or no kernel
        module, ctx = imported(model)
        recognise(module, ctx, vector=True)
        actual = evaluate(module, ctx, requests)
        for name, array in expected.items():
            if isinstance(array, np.ndarray) and array.dtype.kind in "fiub":
                assert actual[name].dtype == array.dtype, label
                # a sum that cancels is as near as its terms: elements of a DFT beside its largest
                peak = np.abs(array[np.isfinite(array)]).max(initial=0.0)
                near = max(1e-4, 1e-5 * float(peak))
                np.testing.assert_allclose(actual[name], array, rtol=1e-3, atol=near, err_msg=label)
        seen["chip" if ctx.remarks.recognition.chip else "host"] += 1
    assert seen["chip"] > 100
    assert seen["host"] > 100
