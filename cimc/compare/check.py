"""Is a result close enough to its reference?  The one rule that ``--check`` and ``--check-each`` apply.

Quantised arithmetic differs from float arithmetic; the question is by how much.  The rule, per output:

* float outputs: SQNR of at least 15 dB (the error holds at most 3 % of the signal's energy), or a largest
  absolute error of at most 0.05 times the reference's largest magnitude.  The second clause is for outputs
  that hardly vary, or are mostly zero, where a ratio of energies says little.
* integer and boolean outputs (flags) and texts: at least 95 % of the elements equal.
* choices (``TopK``, ``ArgMax``, ``ArgMin``): what was chosen must be what the reference chooses, or nearly
  tie with it (:mod:`cimc.compare.choice_check`).  All outputs are compared with a reference that made the
  same
  choices (:mod:`cimc.compare.following`), so a near tie neither hides nor excuses what else differs.
* where the reference is infinite or NaN the value must be the same; these elements are left out of the
  measures, and counted.
* with labels: the AUC of an output with one score per label must not fall by more than 0.01.

A user's bound replaces the first item.  None of this says that a model is still *useful*: labels do.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.compare.choice_check import ChoiceCheck
from cimc.errors import CheckFailed, RequestError
from cimc.host.values import flat
from cimc.metrics.intervals import Estimate, wilson
from cimc.metrics.scores import auc, max_abs_error, sqnr_db
from cimc.metrics.two_way import auc_drop_sample, estimate
from cimc.support.shown import Shown, counted

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
        share = f"{100 * self.agreement:g} %"
        others = f"integers and texts: {share} equal; with labels: AUC drop <= {self.max_auc_drop:g}"
        return f"{text}; {others}"

    def choices(self) -> str:
        """What is asked of choices."""
        share = f"{100 * self.agreement:g} %"
        return (
            f"choices: {share} of the ids equal place by place; or scores within the bound above, each row "
            f"less its mean, and {share} of the ids the reference's or near ties"
        )

    def exceeded(self, sqnr: float, error: float, peak: float) -> list[str]:
        """What is beyond the bound of float values.

        Args:
            sqnr: in dB.
            error: largest absolute error.
            peak: largest magnitude of the reference.
        """
        failures = []
        loud = self.min_sqnr_db is None or sqnr >= self.min_sqnr_db
        if not loud and self.peak_share is not None:
            loud = error <= self.peak_share * peak
        if not loud:
            also = (
                ""
                if self.peak_share is None
                else f", and max abs error {error:.3g} > {self.peak_share:g} x {peak:.3g}"
            )
            failures.append(f"SQNR {sqnr:.1f} dB < {self.min_sqnr_db:g} dB{also}")
        if self.max_error is not None and not error <= self.max_error:
            failures.append(f"max abs error {error:.3g} > {self.max_error:g}")
        return failures

    def allowance(self, rms: float, peak: float) -> float:
        """The error of one value that the bound allows, for values of this root mean square and peak."""
        allowed = [] if self.min_sqnr_db is None else [rms * 10 ** (-self.min_sqnr_db / 20)]
        if self.peak_share is not None:
            allowed.append(self.peak_share * peak)
        found = max(allowed, default=float("inf"))
        return found if self.max_error is None else min(found, self.max_error)


@dataclass(frozen=True)
class OutputCheck:
    """How one output compares with its reference.

    Attributes:
        sqnr_db, max_abs_error, peak: over the finite elements; ``peak`` is the reference's largest magnitude.
            NaN for texts.
        equal: share of equal elements; ``equal_low``, ``equal_high``: Wilson's interval over requests, where
            each has one element, else ``None``.
        not_finite: elements that are infinite or NaN in the reference.
        auc_reference, auc, auc_drop: ``None`` without labels for this output; ``auc_drop_low``,
            ``auc_drop_high``: DeLong's paired interval over requests.
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
    equal_low: float | None = None
    equal_high: float | None = None
    auc_drop_low: float | None = None
    auc_drop_high: float | None = None


@dataclass(frozen=True, repr=False)
class Check(Shown):
    """The comparison of all outputs, and of choices.  ``notes``: what could not be compared, and why."""

    bound: Bound
    outputs: tuple[OutputCheck, ...]
    notes: tuple[str, ...] = ()
    choices: tuple[ChoiceCheck, ...] = ()

    def _brief(self) -> str:
        verdict = "passes" if self.passed else "fails"
        return f"{verdict}: {counted(len(self.outputs), 'output')}, {counted(len(self.choices), 'choice')}"

    @property
    def passed(self) -> bool:
        """Whether every output and every choice is within the bound."""
        return not self.failures

    @property
    def failures(self) -> list[str]:
        """What is beyond the bound, a text per output or choice."""
        wrong = [f"output '{o.name}': {', '.join(o.failures)}" for o in self.outputs if o.failures]
        for c in self.choices:
            if c.failures:
                wrong.append(f"choices of {c.label}: {', '.join(c.failures)}")
        return wrong

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and text."""
        return {
            "passed": self.passed,
            "bound": str(self.bound),
            "outputs": [{**asdict(o), "failures": list(o.failures)} for o in self.outputs],
            "choices": [c.to_json() for c in self.choices],
            "notes": list(self.notes),
        }

    def error(self, subject: str, mode: str, remedies: Sequence[str]) -> CheckFailed:
        """The error: what of ``subject`` fails in ``mode``, by how much, and what may help."""
        return CheckFailed(
            "check.failed",
            f"{subject} in mode {mode} is not close enough to onnxruntime on the original model: "
            + "; ".join(self.failures),
            hint=", or ".join(remedies) + _MORE.get(mode, ""),
        )


def check_outputs(
    reference: Arrays,
    value: Arrays,
    bound: Bound,
    labels: NDArray[Any] | None = None,
    before: Arrays | None = None,
    exact: Container[str] = (),
) -> Check:
    """Compare outputs with their reference.

    Args:
        reference: from onnxruntime on the original model.
        value: the outputs in question, of the same names.
        bound: what counts as close enough.
        labels: 0 or 1 per request, for AUC.
        exact: names of outputs that hold ids, which are equal or not, also where they are floats.
        before: outputs whose AUC is that of the original model; those of ``reference`` if absent.

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
        structure, have = flat(value[name])
        original, want = flat(want)
        scores = drop = None
        if structure != original:
            outputs.append(_failed(name, "a sequence or map of another structure"))
            continue
        if truth is not None and want.size == truth.size and have.size == truth.size:
            scored = True
            first = (before or reference)[name]
            scores = _auc_pair(truth, first, have, name, notes)
            drop = estimate([auc_drop_sample(truth, first, have)]) if scores else None
        found = _compare(name, want, have, bound, scores, name in exact)
        if drop is not None:
            found = replace(found, auc_drop_low=drop.low, auc_drop_high=drop.high)
        outputs.append(found)
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


def _failed(name: str, why: str) -> OutputCheck:
    return OutputCheck(name, float("-inf"), float("inf"), 0.0, 0.0, 0, None, None, None, (why,))


def _compare(
    name: str,
    want: NDArray[Any],
    have: NDArray[Any],
    bound: Bound,
    scores: tuple[float, float] | None,
    exact: bool,
) -> OutputCheck:
    if want.shape != have.shape:
        return _failed(name, f"shape {list(have.shape)} instead of {list(want.shape)}")
    if (want.dtype.kind in "OU") != (have.dtype.kind in "OU"):
        return _failed(name, "texts on one side only")
    if want.dtype.kind in "OU":
        return _compare_texts(name, want, have, bound)
    failures = []
    counted = want.dtype.kind in "iub"
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
    if counted or exact:
        failures += _unequal(equal, bound)
    elif r.size and not failures:
        failures += bound.exceeded(sqnr, error, peak)
    drop = scores[0] - scores[1] if scores else None
    if drop is not None and drop > bound.max_auc_drop:
        failures.append(f"AUC falls by {drop:.4f}, bound {bound.max_auc_drop:g}")
    before, after = scores if scores else (None, None)
    missing = int(np.count_nonzero(~finite))
    share = _share(same) if counted or exact else None
    low, high = (share.low, share.high) if share is not None else (None, None)
    return OutputCheck(
        name, sqnr, error, peak, equal, missing, before, after, drop, tuple(failures), low, high
    )  # fmt: skip


def _share(same: NDArray[np.bool_]) -> Estimate | None:
    """The share of equal elements with an interval, where each request has one: others depend together."""
    if not same.size or same.shape[:1] != (same.size,):
        return None
    return wilson(int(np.count_nonzero(same)), same.size)


def _compare_texts(name: str, want: NDArray[Any], have: NDArray[Any], bound: Bound) -> OutputCheck:
    equal = float(np.mean(want.astype(object) == have.astype(object))) if want.size else 1.0
    nan, failures = float("nan"), tuple(_unequal(equal, bound))
    return OutputCheck(name, nan, nan, nan, equal, 0, None, None, None, failures)


def _unequal(equal: float, bound: Bound) -> list[str]:
    if equal >= bound.agreement:
        return []
    return [f"{100 * equal:.3g} % of the elements are equal, bound {100 * bound.agreement:g} %"]
