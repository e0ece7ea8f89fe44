"""Sweeps of edge values: many nodes in few models, each held against onnxruntime in every place it may run.

A :class:`Case` is one node with arrays for its inputs.  A place says which inputs are initialisers and which
the model's own: that decides which part of the compiler computes it.

=========  ==========================================  =====================================================
place      inputs of the model                         what is compared
=========  ==========================================  =====================================================
folded     none                                        shape analysis; the canonicalised IR
stated     the first, its extents fixed                shape analysis; the fused IR
open       the first, dimension 0 is the batch         shape analysis; the fused IR; the program (``exact``)
computed   all, dimension 0 of the first is the batch  shape analysis; the fused IR
=========  ==========================================  =====================================================

Shape analysis must be right in all it claims: extents, elements and splats, for several batch sizes.  It may
claim nothing.  What onnxruntime refuses, cimc may refuse, or leave to onnxruntime; it must not crash.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue

from cimc.analysis.shapes.dims import Dim, Poly
from cimc.analysis.shapes.engine import ShapeAnalysis
from cimc.backend import CimBackend
from cimc.errors import CimcError
from cimc.frontend.export_graph import export_module
from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate, main_function
from cimc.ir.types import element_to_dtype
from cimc.transforms.onnx.canonicalize import Canonicalize
from cimc.transforms.passes import FRONTEND
from tests.transforms.recognise.fusing import imported, recognise

Array = NDArray[Any]
Arrays = tuple[Array, ...]

FOLDED, STATED, OPEN, COMPUTED = "folded", "stated", "open", "computed"
PLACES = (FOLDED, STATED, OPEN, COMPUTED)
REFUSALS = {
    "request.id-out-of-range": "rows of a table are numbered from 0, ids below count no row from the end",
}
"""What cimc refuses although onnxruntime runs it, and why: its error says so."""
CHUNK = 64
"""Nodes of one model."""
PIPELINE = (
    f"{FRONTEND.replace('demote', 'demote{vector=true}')},"
    "quantize{weights=8 acts=8},shard,place{strategy=greedy},"
    "schedule,lower"
)


@dataclass(frozen=True, eq=False)
class Case:
    """One node.

    Attributes:
        inputs: arrays by position, None for an input that is left out.
        whole: positions of inputs of which dimension 0 is the batch, where it is open.
    """

    op: str
    opset: int
    inputs: tuple[Array | None, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    whole: tuple[int, ...] = (0,)

    @property
    def rows(self) -> int:
        """How many requests the arrays hold."""
        arrays = [self.inputs[k] for k in self.whole]
        return next((len(a) for a in arrays if a is not None and a.ndim), 1)

    def __str__(self) -> str:
        shown = [
            "-" if a is None else f"{a.dtype}{list(a.shape)}" if a.size > 6 or i == 0 else str(a.tolist())
            for i, a in enumerate(self.inputs)
        ]
        attrs = "".join(f", {k}={v}" for k, v in self.attrs.items())
        return f"{self.op}-{self.opset}({', '.join(shown)}{attrs})"


@dataclass(frozen=True)
class Batch:
    """Cases of one opset in one model, with the arrays for its inputs."""

    model: onnx.ModelProto
    inputs: dict[str, Array]
    outputs: tuple[tuple[str, ...], ...]


def batch_of(cases: Sequence[Case], place: str, size: int | None = None) -> Batch:
    """A model of ``cases``; with ``size`` the arrays of the open inputs hold that many requests."""
    names: dict[tuple[int, bool], str] = {}
    inputs: dict[str, Array] = {}
    values, weights, nodes, results = [], [], [], []

    def name_of(case: Case, index: int, array: Array) -> str:
        moving = place == COMPUTED or (place != FOLDED and index in case.whole)
        batched = place in (OPEN, COMPUTED) and index in case.whole and array.ndim > 0
        key = (id(array), batched)
        if key in names:
            return names[key]
        names[key] = name = f"v{len(names)}"
        if not moving:
            weights.append(numpy_helper.from_array(array, name))
            return name
        dims: list[int | str] = list(array.shape)
        if batched:
            dims[0] = "N"
        values.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), dims))
        inputs[name] = array if size is None or not batched else np.resize(array, (size, *array.shape[1:]))
        return name

    for number, case in enumerate(cases):
        given = ["" if a is None else name_of(case, k, a) for k, a in enumerate(case.inputs)]
        outputs = tuple(f"o{number}.{k}" for k in range(case.outputs))
        nodes.append(helper.make_node(case.op, given, outputs, f"n{number}", **case.attrs))
        results.append(outputs)
    graph = helper.make_graph(
        nodes, "g", values, [onnx.ValueInfoProto(name=n) for r in results for n in r], weights
    )
    version = cases[0].opset
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
    model = _typed(model)
    return Batch(model, inputs, tuple(results))


def _typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model`` with element types of its outputs, and without their shapes."""
    found = {v.name: v for v in onnx.shape_inference.infer_shapes(model).graph.output}
    for value in model.graph.output:
        element = found[value.name].type.tensor_type.elem_type
        value.type.tensor_type.elem_type = element or TensorProto.FLOAT
    return model


def reference(cases: Sequence[Case], place: str, size: int | None = None) -> dict[Case, Arrays]:
    """What onnxruntime gives; cases that it refuses are left out."""
    try:
        batch = batch_of(cases, place, size)
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        session = onnxruntime.InferenceSession(
            batch.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        names = [n for r in batch.outputs for n in r]
        found = dict(zip(names, session.run(names, batch.inputs), strict=True))
        return {case: tuple(found[n] for n in r) for case, r in zip(cases, batch.outputs, strict=True)}
    except Exception:  # onnxruntime has several, of no common base
        if len(cases) == 1:
            return {}
        half = len(cases) // 2
        return reference(cases[:half], place, size) | reference(cases[half:], place, size)


def chunks(cases: Sequence[Case]) -> Iterator[list[Case]]:
    """Cases of one opset together."""
    for opset in sorted({c.opset for c in cases}):
        same = [c for c in cases if c.opset == opset]
        for at in range(0, len(same), CHUNK):
            yield same[at : at + CHUNK]


@dataclass
class Findings:
    """What a sweep found.

    Attributes:
        wrong: a line per difference.
        seen: how many comparisons there were, by place; ``chip`` and ``host``: nodes of the fused IR.
    """

    wrong: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def add(self, case: Case, place: str, text: str) -> None:
        self.wrong.append(f"{place}: {case}: {text}")


def sweep(cases: Sequence[Case], places: Sequence[str] = PLACES, program: bool = True) -> Findings:
    """Compares every case in every place."""
    found = Findings()
    for place in places:
        for chunk in chunks(cases):
            known = reference(chunk, place)
            runs = [c for c in chunk if c in known]
            found.seen["refused"] += len(chunk) - len(runs)
            for case in chunk:
                if case not in known and place == OPEN:
                    _refused(case, place, found)
            if runs:
                _compare(runs, place, known, found, program)
    return found


def _refused(case: Case, place: str, found: Findings) -> None:
    """No crash on what onnxruntime refuses, and no result that it does not give (asked where it is open).

    What a request itself holds is the exception: the chip cannot refuse a request.  There it must not crash.
    """
    try:
        batch = batch_of([case], place)
        module, ctx = imported(batch.model)
        Canonicalize().apply(ctx, module)
        if place == FOLDED:
            actual = run_onnx(export_module(module, ctx), {})
        else:
            recognise(module, ctx, vector=True)
            actual = evaluate(module, ctx, batch.inputs)
    except CimcError:
        return
    except Exception as error:
        found.add(case, place, f"refused by onnxruntime, crashes: {type(error).__name__}: {error}")
        return
    if place == COMPUTED or len(case.whole) > 1:
        found.seen["refused, given"] += 1
        return
    shown = ", ".join(f"{a.dtype}{list(a.shape)}" for a in actual.values())
    found.add(case, place, f"refused by onnxruntime, gives {shown}")


def _compare(
    cases: Sequence[Case], place: str, known: dict[Case, Arrays], found: Findings, program: bool
) -> None:
    _analysis(cases, place, None, known, found)
    _executed(cases, place, None, known, found)
    if place in (OPEN, COMPUTED):
        single = reference(cases, place, 1)
        kept = [c for c in cases if c in single]
        if kept:
            _analysis(kept, place, 1, single, found)
            _executed(kept, place, 1, single, found)
    plain = [c for c in cases if _plain(c, known[c])]
    if place == OPEN and program and plain:
        _programmed(plain, known, found)


def _executed(
    cases: Sequence[Case], place: str, size: int | None, known: dict[Case, Arrays], found: Findings
) -> None:
    """The IR gives what onnxruntime gives; folded constants bit for bit."""
    batch = batch_of(cases, place, size)
    try:
        module, ctx = imported(batch.model)
        Canonicalize().apply(ctx, module)
        if place == FOLDED:
            actual = run_onnx(export_module(module, ctx), {})
        else:
            recognise(module, ctx, vector=True)
            actual = evaluate(module, ctx, batch.inputs)
    except CimcError as error:
        for half in _halves(cases, place, error, found):
            _executed(half, place, size, known, found)
        return
    if place != FOLDED:
        found.seen["chip"] += ctx.remarks.recognition.chip
        found.seen["host"] += len(ctx.remarks.recognition.host)
    _equal(cases, batch, known, actual, f"{place} {size or ''}", found, exact=place == FOLDED)


def _programmed(cases: Sequence[Case], known: dict[Case, Arrays], found: Findings) -> None:
    """The compiled program gives what onnxruntime gives."""
    batch = batch_of(cases, OPEN)
    try:
        rep = CimBackend.prepare(batch.model, pipeline=PIPELINE, target="tsinghua28")
        outputs = rep.run(batch.inputs)
    except CimcError as error:
        for half in _halves(cases, "program", error, found):
            _programmed(half, known, found)
        return
    actual = dict(zip([n for r in batch.outputs for n in r], outputs, strict=True))
    _equal(cases, batch, known, actual, "program", found)


def _plain(case: Case, expected: Arrays) -> bool:
    """Whether a program may take and give this: a row per request, and numbers that are finite."""
    given = [a for a in case.inputs if a is not None]
    rows = all(a.ndim and a.size and len(a) == case.rows for a in expected)
    return rows and all(np.isfinite(a).all() for a in (*expected, *given))


def _halves(cases: Sequence[Case], place: str, error: CimcError, found: Findings) -> list[Sequence[Case]]:
    """The cases in two parts, to find the one that is refused; noted when it is alone."""
    if len(cases) > 1:
        return [cases[: len(cases) // 2], cases[len(cases) // 2 :]]
    found.seen[f"refused: {error.code}"] += 1
    if error.code not in REFUSALS:
        found.add(cases[0], place, f"cimc refuses: {error}")
    return []


def _equal(
    cases: Sequence[Case],
    batch: Batch,
    known: dict[Case, Arrays],
    actual: Mapping[str, Any],
    place: str,
    found: Findings,
    exact: bool = False,
) -> None:
    for case, names in zip(cases, batch.outputs, strict=True):
        found.seen[place] += 1
        for name, want in zip(names, known[case], strict=True):
            have = actual[name]
            if have.dtype != want.dtype or have.shape != want.shape:
                shown = f"{have.dtype}{list(have.shape)} instead of {want.dtype}{list(want.shape)}"
                found.add(case, place, shown)
                break
            close = (
                np.array_equal(have, want, equal_nan=have.dtype.kind == "f")
                if exact or have.dtype.kind != "f"
                else np.allclose(have, want, rtol=1e-4, atol=1e-5, equal_nan=True)
            )
            if not close:
                found.add(case, place, f"{have.reshape(-1)[:6]} instead of {want.reshape(-1)[:6]}")
                break


def _analysis(
    cases: Sequence[Case], place: str, size: int | None, known: dict[Case, Arrays], found: Findings
) -> None:
    """All that shape analysis claims holds."""
    module, ctx = imported(batch_of(cases, place, size).model)
    analysis = ShapeAnalysis(main_function(module), ctx)
    last = main_function(module).body.block.last_op
    assert isinstance(last, ReturnOp)
    values = iter(last.arguments)
    for case in cases:
        found.seen[f"{place}, analysed"] += 1
        for want in known[case]:
            said = _claims(analysis, next(values), case.rows if size is None else size, want)
            if said is not None:
                found.add(case, f"{place} {size or ''}, analysed", said)


def _claims(analysis: ShapeAnalysis, value: SSAValue, rows: int, want: Array) -> str | None:
    """What ``analysis`` says of ``value`` that is not so."""
    info, shape, content = analysis.info(value), analysis.shape(value), analysis.content(value)
    if shape is not None:
        extents = [_number(d, rows) for d in shape]
        if len(shape) != want.ndim or any(
            e not in (None, w) for e, w in zip(extents, want.shape, strict=True)
        ):
            return f"extents {extents} instead of {list(want.shape)}"
    if info.element is not None and element_to_dtype(info.element) != want.dtype:
        return f"element {info.element} instead of {want.dtype}"
    if content is not None:
        if content.shape != want.shape:
            return f"content of {list(content.shape)} instead of {list(want.shape)}"
        for have, real in zip(content.reshape(-1).tolist(), want.reshape(-1).tolist(), strict=True):
            number = _number(have, rows)
            if number is not None and number != real:
                return f"content {content.tolist()} instead of {want.tolist()}"
    if info.splat is not None and want.size and not (want == info.splat).all():
        return f"filled with {info.splat} instead of {want.reshape(-1)[:6]}"
    return None


def _number(extent: Dim, rows: int) -> int | None:
    """An extent for ``rows`` requests; None where that is not known."""
    if isinstance(extent, Poly):
        if extent.symbols() - {"N"}:
            return None
        return sum(factor * rows ** len(names) for names, factor in extent.terms)
    return extent


def sampled(cases: Sequence[Case], most: int) -> list[Case]:
    """At most so many of the cases, always the same ones."""
    return list(cases) if len(cases) <= most else random.Random(0).sample(list(cases), most)
