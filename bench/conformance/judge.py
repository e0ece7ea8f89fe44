"""Compiles and runs one node test in one form, and says whether the result is right.

Two paths, see ``docs/conformance.md``:

* *float*: imported, canonicalised and fused; the IR is evaluated in float32.  Compared at ONNX's tolerances.
* *exact*: compiled for the target and run in mode ``exact``.  Compared at ONNX's tolerances where no array
  takes part, else by the rule of ``cimc/compare/check.py``, the one that ``--check`` applies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from bench.conformance.cases import Arrays, Case, mismatch
from cimc.api import Program
from cimc.backend import CimBackend
from cimc.compare.check import Bound, check_outputs
from cimc.errors import CimcError
from cimc.frontend.import_graph import import_model
from cimc.frontend.read.load_model import load_model
from cimc.interpreter.evaluate import evaluate
from cimc.ir.text import new_context
from cimc.isa.program import HostSegment
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline

TAIL = "quantize{weights=8 acts=8},shard,choose-adc-steps,place{strategy=greedy},schedule,lower"
FORCED = FRONTEND.replace("demote", "demote{vector=true}")
_PLUMBING = {"loop", "end", "load", "loadq", "store", "send", "recv"}


class Outcome(Enum):
    """How a path ended.

    ``REFUSED``: an error of cimc's says why it does not run.  ``COARSE``: arrays took part, and 8 bits
    were too few to stay within the bound.  ``WRONG``: it ran and gave other numbers.  ``CRASHED``: it
    raised something that is no error of cimc's.
    """

    PASSED = "passed"
    REFUSED = "refused"
    COARSE = "coarse"
    WRONG = "wrong"
    CRASHED = "crashed"


@dataclass(frozen=True)
class Verdict:
    """The result of one path.

    Attributes:
        units: units of the tiles that did anything: ``arrays``, ``vector``.
        host: nodes in host segments.
        detail: what was refused or differs; empty if passed.
        code: the error's code if refused.
    """

    outcome: Outcome
    units: frozenset[str] = frozenset()
    host: int = 0
    detail: str = ""
    code: str = ""


def judge_float(case: Case, front: str = FRONTEND) -> Verdict:
    """The float path of ``case`` with the passes ``front``."""
    return _caught(lambda: _float(case, front))


def judge_exact(case: Case, front: str = FRONTEND, target: str = "tsinghua28") -> Verdict:
    """The exact path of ``case``, compiled for ``target``; ranges come from the test's own inputs."""
    return _caught(lambda: _exact(case, f"{front},{TAIL}", target))


def _caught(path: Callable[[], Verdict]) -> Verdict:
    try:
        return path()
    except CimcError as error:
        return Verdict(Outcome.REFUSED, detail=str(error).splitlines()[0][:300], code=error.code)
    except Exception as error:  # what the whole run is there to find
        return Verdict(Outcome.CRASHED, detail=f"{type(error).__name__}: {error}"[:300])


def _float(case: Case, front: str) -> Verdict:
    ctx = new_context()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(case.model.SerializeToString())
        module = import_model(load_model(path), ctx)
        ctx.calibration = case.sets[0][0]
        Pipeline.parse(front).run(module, ctx)
    for inputs, expected in case.sets:
        difference = mismatch(evaluate(module, ctx, inputs), expected, case.rtol, case.atol)
        if difference is not None:
            return Verdict(Outcome.WRONG, detail=difference)
    return Verdict(Outcome.PASSED)


def _exact(case: Case, pipeline: str, target: str) -> Verdict:
    rep = CimBackend.prepare(case.model, pipeline=pipeline, target=target)
    for inputs, expected in case.sets:
        outputs = rep.run(inputs)
        assert rep.program is not None
        units, host = units_of(rep.program), host_nodes(rep.program)
        found = dict(zip(expected, outputs, strict=True))
        difference = compare(case, found, expected, quantised="arrays" in units)
        if difference is not None:
            outcome = Outcome.COARSE if "arrays" in units else Outcome.WRONG
            return Verdict(outcome, units, host, difference)
    return Verdict(Outcome.PASSED, units, host)


def compare(case: Case, found: Arrays, expected: Arrays, quantised: bool) -> str | None:
    """What is wrong with ``found``; ``None`` if nothing is."""
    if not quantised:
        return mismatch(found, expected, case.rtol, case.atol)
    for name, array in expected.items():
        if found[name].dtype != array.dtype:
            return f"{name} is {found[name].dtype} instead of {array.dtype}"
    check = check_outputs(expected, found, Bound())
    return None if check.passed else "; ".join(f for o in check.outputs for f in o.failures)


def units_of(program: Program) -> frozenset[str]:
    """Units that execute instructions; loads, stores and messages alone are no work."""
    return frozenset(
        item.spec.unit
        for segment in program.data.chip_segments
        for stream in segment.streams.values()
        for item in stream
        if item.name not in _PLUMBING
    )


def host_nodes(program: Program) -> int:
    """Nodes that onnxruntime executes."""
    return sum(s.nodes for s in program.data.segments if isinstance(s, HostSegment))


def opset(model: onnx.ModelProto) -> int:
    """Version of the default domain; 0 if it is not imported."""
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
