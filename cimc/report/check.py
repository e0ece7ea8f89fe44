"""Is a result close enough to its reference?  The one rule that ``--check`` and ``--check-each`` apply.

Quantised arithmetic differs from float arithmetic; the question is by how much.  The rule, per output:

* float outputs: SQNR of at least 15 dB (the error holds at most 3 % of the signal's energy), or a largest
  absolute error of at most 0.05 times the reference's largest magnitude.  The second clause is for outputs
  that hardly vary, or are mostly zero, where a ratio of energies says little.
* integer and boolean outputs (rankings, flags): at least 95 % of the elements equal.
* where the reference is infinite or NaN the value must be the same; these elements are left out of the
  measures, and counted.
* with labels: the AUC of an output with one score per label must not fall by more than 0.01.

A user's bound replaces the first item.  None of this says that a model is still *useful*: labels do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import CheckFailed, RequestError
from cimc.report.metrics import auc, max_abs_error, sqnr_db

Arrays = Mapping[str, NDArray[Any]]

_MORE = {
    "adc": "; --mode exact shows whether the ADC is the cause",
    "noisy": "; --mode adc shows whether the cells are the cause",
}
"""Mode -> how to find the cause."""


@dataclass(frozen=True)
class Bound:
    """What counts as close enough.

    Attributes:
        min_sqnr_db: least SQNR; ``None``: not asked for.
        max_error: largest absolute error; ``None``: not asked for.
        peak_share: alternative to ``min_sqnr_db``: error up to this share of the reference's peak.
        agreement: least share of equal elements of integer outputs.
        max_auc_drop: most that AUC may fall.
    """

    min_sqnr_db: float | None = 15.0
    max_error: float | None = None
    peak_share: float | None = 0.05
    agreement: float = 0.95
    max_auc_drop: float = 0.01

    @classmethod
    def of(cls, min_sqnr_db: float | None = None, max_error: float | None = None) -> Bound:
        """The default rule, or exactly what the user asks for: all bounds given must hold."""
        if min_sqnr_db is None and max_error is None:
            return cls()
        return cls(min_sqnr_db, max_error, None)

    def __str__(self) -> str:
        parts = []
        if self.min_sqnr_db is not None:
            parts.append(f"SQNR >= {self.min_sqnr_db:g} dB")
        if self.peak_share is not None:
            parts.append(f"max abs error <= {self.peak_share:g} x peak of the reference")
        text = " or ".join(parts)
        if self.max_error is not None:
            text = " and ".join(filter(None, [text, f"max abs error <= {self.max_error:g}"]))
        others = f"integers: {100 * self.agreement:g} % equal; with labels: AUC drop <= {self.max_auc_drop:g}"
        return f"{text}; {others}"


@dataclass(frozen=True)
class OutputCheck:
    """How one output compares with its reference.

    Attributes:
        sqnr_db, max_abs_error, peak: over the finite elements; ``peak`` is the reference's largest magnitude.
        equal: share of equal elements.
        not_finite: elements that are infinite or NaN in the reference.
        auc_reference, auc, auc_drop: ``None`` without labels for this output.
        failures: what is beyond the bound; empty when the output passes.
    """

    name: str
    sqnr_db: float
    max_abs_error: float
    peak: float
    equal: float
    not_finite: int
    auc_reference: float | None
    auc: float | None
    auc_drop: float | None
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """The comparison of all outputs.  ``notes``: what could not be compared, and why."""

    bound: Bound
    outputs: tuple[OutputCheck, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every output is within the bound."""
        return not any(o.failures for o in self.outputs)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and text."""
        return {
            "passed": self.passed,
            "bound": str(self.bound),
            "outputs": [{**asdict(o), "failures": list(o.failures)} for o in self.outputs],
            "notes": list(self.notes),
        }

    def error(self, subject: str, mode: str, remedies: Sequence[str]) -> CheckFailed:
        """The error: which outputs of ``subject`` fail in ``mode``, by how much, and what may help."""
        wrong = [f"output '{o.name}': {', '.join(o.failures)}" for o in self.outputs if o.failures]
        return CheckFailed(
            "check.failed",
            f"{subject} in mode {mode} is not close enough to onnxruntime on the original model: "
            + "; ".join(wrong),
            hint=", or ".join(remedies) + _MORE.get(mode, ""),
        )


def check_outputs(
    reference: Arrays, value: Arrays, bound: Bound, labels: NDArray[Any] | None = None
) -> Check:
    """Compare outputs with their reference.

    Args:
        reference: from onnxruntime on the original model.
        value: the outputs in question, of the same names.
        bound: what counts as close enough.
        labels: 0 or 1 per request, for AUC.

    Raises:
        RequestError: ``request.bad-labels`` for labels that are not 0 or 1.
    """
    truth = None if labels is None else np.asarray(labels).ravel()
    if truth is not None and not np.isin(truth, (0, 1)).all():
        raise RequestError("request.bad-labels", "the array 'labels' must hold 0 or 1 per request")
    outputs: list[OutputCheck] = []
    notes: list[str] = []
    scored = False
    for name, want in reference.items():
        have = value[name]
        scores = None
        if truth is not None and want.size == truth.size and have.size == truth.size:
            scored = True
            scores = _auc_pair(truth, want, have, name, notes)
        outputs.append(_compare(name, np.asarray(want), np.asarray(have), bound, scores))
    if truth is not None and not scored:
        notes.append(f"no output has one score for each of the {truth.size} labels: no AUC")
    return Check(bound, tuple(outputs), tuple(notes))


def _auc_pair(
    truth: NDArray[Any], want: NDArray[Any], have: NDArray[Any], name: str, notes: list[str]
) -> tuple[float, float] | None:
    try:
        return auc(truth, want), auc(truth, have)
    except ValueError as error:
        notes.append(f"no AUC of output '{name}': {error}")
        return None


def _compare(
    name: str,
    want: NDArray[Any],
    have: NDArray[Any],
    bound: Bound,
    scores: tuple[float, float] | None,
) -> OutputCheck:
    if want.shape != have.shape:
        why = f"shape {list(have.shape)} instead of {list(want.shape)}"
        return OutputCheck(name, float("-inf"), float("inf"), 0.0, 0.0, 0, None, None, None, (why,))
    failures = []
    counted = np.issubdtype(want.dtype, np.integer) or want.dtype == bool
    same = want == have
    finite = np.ones(want.shape, bool)
    if not counted:
        same |= np.isnan(want) & np.isnan(have)
        finite = np.isfinite(want)
        wrong = int(np.count_nonzero(~finite & ~same)) + int(np.count_nonzero(finite & ~np.isfinite(have)))
        if wrong:
            failures.append(f"{wrong} elements are infinite or NaN on one side only")
    r, v = want[finite].astype(np.float64), have[finite].astype(np.float64)
    sqnr, error = sqnr_db(r, v), max_abs_error(r, v)
    peak = float(np.abs(r).max(initial=0.0))
    equal = float(np.mean(same)) if same.size else 1.0
    if counted:
        if equal < bound.agreement:
            failures.append(
                f"{100 * equal:.3g} % of the elements are equal, bound {100 * bound.agreement:g} %"
            )
    elif r.size and not failures:
        failures += _float_failures(sqnr, error, peak, bound)
    drop = scores[0] - scores[1] if scores else None
    if drop is not None and drop > bound.max_auc_drop:
        failures.append(f"AUC falls by {drop:.4f}, bound {bound.max_auc_drop:g}")
    before, after = scores if scores else (None, None)
    missing = int(np.count_nonzero(~finite))
    return OutputCheck(name, sqnr, error, peak, equal, missing, before, after, drop, tuple(failures))


def _float_failures(sqnr: float, error: float, peak: float, bound: Bound) -> list[str]:
    failures = []
    loud = bound.min_sqnr_db is None or sqnr >= bound.min_sqnr_db
    if not loud and bound.peak_share is not None:
        loud = error <= bound.peak_share * peak
    if not loud:
        also = (
            ""
            if bound.peak_share is None
            else f", and max abs error {error:.3g} > {bound.peak_share:g} x {peak:.3g}"
        )
        failures.append(f"SQNR {sqnr:.1f} dB < {bound.min_sqnr_db:g} dB{also}")
    if bound.max_error is not None and not error <= bound.max_error:
        failures.append(f"max abs error {error:.3g} > {bound.max_error:g}")
    return failures
