"""Compiles and runs one mutant, and says what became of it."""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from cimc.api import Program, compile, prepare
from cimc.compare.check import Bound, Check, check_outputs
from cimc.compare.reference import reference_outputs
from cimc.errors import CimcError
from cimc.frontend.read.load_model import load_model
from cimc.host.runtime import HostRunner, run_onnx
from cimc.interpreter.evaluate import evaluate
from cimc.transforms.passes import FRONTEND

BUGS = ("crash", "hang", "memory", "mismatch", "touched", "accepted")
"""Outcomes that must not occur.  ``accepted``: what had to be refused was not."""
OUTCOMES = ("agrees", "coarse", "refused", "runtime-refuses", "runtime-folds", *BUGS)
"""``coarse``: right in float, beyond the bound once quantised to 8 bits, as a check of the user's would say.
``runtime-refuses``: cimc runs what onnxruntime does not run, so there is nothing to compare with.
``runtime-folds``: onnxruntime contradicts itself; it agrees with its optimisations off, and not with them on
(it folds ``Shape`` of a value whose stated extents are wrong)."""

FLOAT = Bound(min_sqnr_db=40.0, max_error=None, peak_share=1e-3, agreement=0.99)
"""How close the unquantised IR must come: float arithmetic in another order."""


@dataclass
class Verdict:
    """What became of a mutant."""

    outcome: str
    code: str = ""
    detail: str = ""

    def json(self) -> dict[str, str]:
        return asdict(self)


def judge(model: Path, program: Path, inputs: dict[str, np.ndarray], must_refuse: bool) -> Verdict:
    """What ``cimc compile`` and ``cimc run --mode exact --check`` do, without their tables.

    ``model``: the mutant; ``program``: the file to write.
    """
    try:
        outputs = _compile_and_run(model, program, inputs)
    except CimcError as error:
        return _refused(model, inputs, error)
    except MemoryError:
        return Verdict("memory", "", traceback.format_exc()[-2500:])
    except Exception as error:
        return Verdict("crash", type(error).__name__, traceback.format_exc()[-2500:])
    if must_refuse:
        return Verdict("accepted", "", "this mutant had to be refused")
    try:
        reference = _reference(model, inputs, list(outputs))
    except CimcError as error:
        return Verdict("runtime-refuses", error.code, error.message[:500])
    return _compare(model, inputs, reference, outputs)


def _refused(model: Path, inputs: dict[str, np.ndarray], error: CimcError) -> Verdict:
    """A refusal; where it does not come from the front door, the code says whether onnxruntime agrees."""
    code = error.code
    if not code.startswith(("frontend.", "host.", "request.")):
        try:
            reference_outputs(model, inputs)
        except CimcError:
            code += " (and onnxruntime fails)"
        else:
            code += " (onnxruntime runs it)"
    return Verdict("refused", code, error.message[:300])


def _reference(model: Path, inputs: dict[str, np.ndarray], outputs: list[str]) -> dict[str, np.ndarray]:
    """onnxruntime on the file; where it cannot read external tensors, on one with all data inside."""
    try:
        return reference_outputs(model, inputs, outputs)[0]
    except CimcError:
        loaded = load_model(model)
        external = [t for t in loaded.proto.graph.initializer if t.data_location == TensorProto.EXTERNAL]
        if not external:
            raise
        for tensor in external:
            array = loaded.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.array(array), tensor.name))
        names = {t.name for t in loaded.proto.graph.initializer}
        wanted = [v.name for v in loaded.proto.graph.input if v.name not in names]
        return run_onnx(loaded.proto, {n: inputs[n] for n in wanted}, outputs)


def _compile_and_run(model: Path, path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    compile(model, calib=inputs).save(path)
    return Program.load(path).run(inputs, "exact").outputs


def _compare(
    model: Path,
    inputs: dict[str, np.ndarray],
    reference: dict[str, np.ndarray],
    outputs: dict[str, np.ndarray],
) -> Verdict:
    found = _difference(reference, outputs, Bound())
    if not found:
        return Verdict("agrees")
    noise = _noise(model)
    try:
        evaluated = _evaluated(model, inputs, FRONTEND)
        wrong = _difference(_without_noise(reference, evaluated, noise), evaluated, FLOAT)
        if wrong:
            as_written = _without_noise(_unoptimised(model, inputs, reference), evaluated, noise)
            folds = not _difference(as_written, evaluated, FLOAT)
            return Verdict("runtime-folds" if folds else "mismatch", "float", wrong)
        wrong = _difference(_evaluated(model, inputs, f"{FRONTEND},quantize"), outputs, FLOAT)
    except CimcError as error:
        return Verdict("mismatch", error.code, f"{found}; and when the IR is executed: {error.message[:300]}")
    return Verdict("mismatch", "integer", wrong) if wrong else Verdict("coarse", "", found)


def _unoptimised(
    model: Path, inputs: dict[str, np.ndarray], reference: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """onnxruntime on the file with its nodes as written; ``reference`` where it does not run so."""
    graph = load_model(model).proto.graph
    names = {v.name for v in graph.input} - {t.name for t in graph.initializer}
    try:
        return HostRunner(optimise=False).run(model, {n: inputs[n] for n in names}, list(reference))
    except CimcError:
        return reference


def _noise(model: Path) -> float:
    """How far onnxruntime itself is off where the model has a Sigmoid: it gives 0 from -18 on, for 1.5e-8."""
    return 1.2e-7 if any(n.op_type == "Sigmoid" for n in load_model(model).proto.graph.node) else 0.0


def _without_noise(
    want: dict[str, np.ndarray], have: dict[str, np.ndarray], noise: float
) -> dict[str, np.ndarray]:
    """``want``, with what was computed in place of outputs that differ from it by no more than ``noise``."""
    out = {}
    for name, array in want.items():
        other = have.get(name)
        near = (
            isinstance(array, np.ndarray)
            and other is not None
            and array.dtype.kind == "f" == np.asarray(other).dtype.kind
            and array.shape == np.asarray(other).shape
            and array.size
            and float(np.max(np.abs(array.astype(np.float64) - other))) <= noise
        )
        out[name] = np.asarray(other) if near else array
    return out


def _evaluated(model: Path, inputs: dict[str, np.ndarray], passes: str) -> dict[str, np.ndarray]:
    """Outputs of the IR after these passes."""
    module, ctx, line = prepare(model, "tsinghua28", inputs, passes)
    line.run(module, ctx)
    assert ctx.calibration is not None
    return evaluate(module, ctx, ctx.calibration)


def _difference(want: dict[str, np.ndarray], have: dict[str, np.ndarray], bound: Bound) -> str:
    """What is wrong, or nothing."""
    if set(want) != set(have):
        return f"outputs {sorted(have)} instead of {sorted(want)}"
    for name, array in want.items():
        other = np.asarray(have[name])
        if not isinstance(array, np.ndarray) or array.dtype == object:
            same = np.asarray(array, object).tolist() == np.asarray(have[name], object).tolist()
            if not same:
                return f"'{name}' differs"
            continue
        if array.dtype != other.dtype:
            return f"'{name}' is {other.dtype} instead of {array.dtype}"
    numbers = {n: _normal(a) for n, a in want.items() if isinstance(a, np.ndarray) and a.dtype != object}
    with np.errstate(all="ignore"):
        check: Check = check_outputs(numbers, {n: _normal(a) for n, a in have.items()}, bound)
    return "; ".join(f"'{o.name}': {', '.join(o.failures)}" for o in check.outputs if o.failures)[:600]


def _normal(array: Any) -> Any:
    """Subnormal numbers, of which libraries keep more or fewer bits, are zero here."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        return array
    return np.where(np.abs(array) < np.finfo(array.dtype).tiny, array.dtype.type(0), array)
