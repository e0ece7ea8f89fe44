"""Is what a program chose (``TopK``, ``ArgMax``, ``ArgMin``) as good as what the reference would choose?

Scores are compared with the scores that the reference has *given the same earlier choices*, each row less
its mean: what is common to a row decides nothing.  Items that a mask took out of a row are left out, as they
would hide every other difference.  What a softmax or a sigmoid made is compared by its logarithm or log-odds,
the values that errors were made in.  :func:`judge` says what passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cimc.errors import printable
from cimc.host.choices import Choice, Chooser
from cimc.metrics.ranking import recall

Array = NDArray[Any]
F64 = NDArray[np.float64]
Ids = NDArray[np.int64]

MASK = 1000.0
"""A masked score is at most minus this, and by ``MASK_TIMES`` the size of all better ones below them."""
MASK_TIMES = 10.0
_SMALLEST = 1e-7
"""Of probabilities: about what float32 resolves beside 1."""
_AT_A_TIME = 1 << 21  # scores judged together


class ErrorBound(Protocol):
    """What :class:`cimc.compare.check.Bound` says of float values."""

    @property
    def agreement(self) -> float:
        """Least share of equal ids."""

    def exceeded(self, sqnr: float, error: float, peak: float) -> list[str]:
        """What is beyond the bound."""

    def allowance(self, rms: float, peak: float) -> float:
        """The error of one value that the bound allows."""


@dataclass(frozen=True)
class ChoiceCheck:
    """How the choices of one node compare with the reference's.

    Attributes:
        node, op: which node, and its operator.
        k: items chosen in each row; rows: how many choices there were.
        outputs: outputs of the model that depend on them.
        recall, worst_recall: share of the reference's items found, as sets: mean and least of all rows.
            The reference chose by itself here; below it has the program's earlier choices.
        equal: share of ids that are equal place by place.
        other: items that the reference, given the same earlier choices, would not have chosen.
        near_ties: those of them that score errors within the bound explain.
        reordered: rows with the same items in another order.
        margin: largest amount by which the reference's score of such an item is worse than that of its last
            choice; ``margin_bound``: what a near tie may have.
        sqnr_db, max_abs_error: of the scores, each row less its mean.
        masked: scores left out as masked.
        failures: what is beyond the bound; empty when the choices pass.
    """

    node: str
    op: str
    k: int
    rows: int
    outputs: tuple[str, ...]
    recall: float
    worst_recall: float
    equal: float
    other: int
    near_ties: int
    reordered: int
    margin: float
    margin_bound: float
    sqnr_db: float
    max_abs_error: float
    masked: int
    failures: tuple[str, ...]

    @property
    def label(self) -> str:
        """What people call the node."""
        name = printable(self.node)
        return name if name.startswith(self.op) else f"{self.op} {name}"

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and texts; recall under ``recall@k``."""
        found = {key: getattr(self, key) for key in self.__dataclass_fields__ if "recall" not in key}
        found |= {f"recall@{self.k}": self.recall, f"worst_recall@{self.k}": self.worst_recall}
        return found | {"outputs": list(self.outputs), "failures": list(self.failures)}


@dataclass
class _Sums:
    """What is added up over blocks of rows."""

    signal: float = 0.0
    noise: float = 0.0
    count: int = 0
    error: float = 0.0
    peak: float = 0.0
    lost: int = 0
    masked: int = 0
    chosen: int = 0
    worse: int = 0
    unmasked: int = 0
    reordered: int = 0
    margins: list[F64] = field(default_factory=list)


def fits(chooser: Chooser, choice: Choice, scores: Array, ids: Array) -> bool:
    """Whether a program's choice has the form of the reference's, and its ids exist."""
    if choice.scores.shape != scores.shape or choice.ids.shape != ids.shape or not scores.ndim:
        return False
    extent = scores.shape[chooser.axis]
    return not ids.size or bool(choice.ids.min() >= 0 and choice.ids.max() < extent)


def judge(
    chooser: Chooser,
    outputs: tuple[str, ...],
    choice: Choice,
    scores: Array,
    own: Array,
    free: Array,
    bound: ErrorBound,
) -> ChoiceCheck:
    """Compare a choice of the program with the reference's.

    It passes where as many ids are equal place by place as ``bound.agreement`` asks for.  Else the scores
    must be within the bound, and no more than the other share of the items may be ones that the reference
    would not choose and that are no near ties.  A near tie is an item whose score, in the reference, is worse
    than that of its last choice by no more than twice the error that the bound allows a score: both may be
    off.  In any case the program must have chosen the best of its own scores.

    Args:
        chooser: the node of the original model.
        outputs: what depends on it.
        choice: scores and ids of the program.
        scores: the reference's, given the program's earlier choices.
        own: ids that the reference chooses by these.
        free: ids that the reference chooses when nothing is prescribed.
        bound: what counts as close enough.
    """
    sums = _Sums()
    table = [_rows(a, chooser, of_ids=n > 1) for n, a in enumerate((scores, choice.scores, own, choice.ids))]
    if chooser.link and table[0].size:  # a share that is lost in rounding has no logarithm to compare
        table[0][_rows(scores, replace(chooser, link=""), of_ids=False) <= _SMALLEST] = -np.inf
    for part in _blocks(*table[0].shape):
        _add(sums, chooser, *(rows[part] for rows in table))
    mean, worst = (
        _recalls(_rows(free, chooser, True), table[3]) if free.shape == own.shape else (math.nan,) * 2
    )
    failures = [f"{sums.lost} scores are not finite"] if sums.lost else []
    if sums.worse:
        failures.append(f"{sums.worse} rows are not the best of the program's own scores")
    equal = float(np.mean(table[2] == table[3])) if own.size else 1.0
    sqnr = _decibels(sums.signal, sums.noise)
    limit = 2 * bound.allowance(math.sqrt(sums.signal / max(sums.count, 1)), sums.peak)
    margins = np.concatenate([np.zeros(0), *sums.margins])
    near = int(np.count_nonzero(margins <= limit))
    if equal < bound.agreement:
        failures += [f"scores: {text}" for text in bound.exceeded(sqnr, sums.error, sums.peak)]
        wrong = len(margins) - near + sums.unmasked
        if wrong > (1 - bound.agreement) * sums.chosen:
            failures.append(f"{wrong} of {sums.chosen} ids are neither the reference's nor near ties")
    return ChoiceCheck(
        chooser.name, chooser.op, table[3].shape[1], len(table[3]), outputs, mean, worst, equal,
        len(margins) + sums.unmasked, near, sums.reordered, float(margins.max(initial=0.0)), limit, sqnr,
        sums.error, sums.masked, tuple(failures),
    )  # fmt: skip


def _rows(array: Array, chooser: Chooser, of_ids: bool) -> Array:
    """One row per choice, ``[rows, items]``; scores so that larger is better."""
    if of_ids and not chooser.keepdims:
        array = np.expand_dims(array, chooser.axis)  # where the scores have it: ranks are equal
    array = np.moveaxis(array, chooser.axis, -1)
    flat = array.reshape(-1, array.shape[-1]) if array.size else array.reshape(0, array.shape[-1])
    if of_ids:
        return flat
    if chooser.link:
        share = np.clip(flat.astype(np.float64), _SMALLEST, 1.0)
        flat = np.log(share)
        if chooser.link == "Sigmoid":
            flat -= np.log(np.clip(1.0 - share, _SMALLEST, 1.0))
    return flat if chooser.largest else -flat.astype(np.float64)


def _blocks(rows: int, items: int) -> Iterator[slice]:
    step = max(1, _AT_A_TIME // max(items, 1))
    return (slice(at, at + step) for at in range(0, rows, step))


def _recalls(relevant: Ids, found: Ids) -> tuple[float, float]:
    if not relevant.size:
        return 1.0, 1.0
    shares = [recall(found[p], relevant[p]) for p in _blocks(len(found), relevant.shape[1] ** 2)]
    each = np.concatenate(shares)
    return float(each.mean()), float(each.min())


def _add(sums: _Sums, chooser: Chooser, scores: Array, have: Array, own: Ids, ids: Ids) -> None:
    """Compare a block of rows."""
    want, have = scores.astype(np.float64), have.astype(np.float64)
    counted = _counted(want)
    sums.masked += int(np.count_nonzero(~counted))
    _add_errors(sums, want, have, counted)
    chosen, right = _marks(ids, want.shape), _marks(own, want.shape)
    sums.worse += int(np.count_nonzero(~_is_best(chooser, have, ids, chosen)))
    sums.chosen += ids.size
    sums.reordered += int(np.count_nonzero((chosen == right).all(axis=1) & (ids != own).any(axis=1)))
    last = np.take_along_axis(want, own, axis=1).min(axis=1, initial=np.inf)
    row, item = np.nonzero(chosen & ~right)
    known = counted[row, item]
    sums.margins.append(np.maximum(last[row[known]] - want[row[known], item[known]], 0.0))
    needed: NDArray[np.bool_] = np.any(
        right & counted & ~chosen, axis=1
    )  # a masked item took the place of another one
    sums.unmasked += int(np.count_nonzero(needed[row[~known]]))


def _counted(want: F64) -> NDArray[np.bool_]:
    """Scores that are finite and not masked: no mask took them far below all better ones of their row."""
    finite = np.isfinite(want)
    if not (want <= -MASK).any():
        return finite
    ordered = -np.sort(-np.where(finite, want, -np.inf), axis=1)
    size = np.maximum(np.abs(ordered[:, :1]), np.abs(ordered[:, :-1]))
    with np.errstate(invalid="ignore"):
        fall = (ordered[:, :-1] - ordered[:, 1:] >= MASK_TIMES * size) & (ordered[:, 1:] <= -MASK)
    first = np.argmax(fall, axis=1)
    least = np.where(fall.any(axis=1), ordered[np.arange(len(want)), first], -np.inf)
    kept: NDArray[np.bool_] = finite & (want >= least[:, None])
    return kept


def _add_errors(sums: _Sums, want: F64, have: F64, counted: NDArray[np.bool_]) -> None:
    sums.lost += int(np.count_nonzero(counted & ~np.isfinite(have)))
    counted = counted & np.isfinite(have)
    each = np.maximum(counted.sum(axis=1, keepdims=True), 1)

    def centred(values: F64) -> F64:
        kept = np.where(counted, values, 0.0)
        found: F64 = np.where(counted, kept - kept.sum(axis=1, keepdims=True) / each, 0.0)
        return found

    signal = centred(want)
    noise = centred(have) - signal
    sums.signal += float(np.sum(signal**2))
    sums.noise += float(np.sum(noise**2))
    sums.count += int(counted.sum())
    sums.error = max(sums.error, float(np.abs(noise).max(initial=0.0)))
    sums.peak = max(sums.peak, float(np.abs(signal).max(initial=0.0)))


def _marks(ids: Ids, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    found = np.zeros(shape, bool)
    np.put_along_axis(found, ids, True, axis=1)
    return found


def _is_best(chooser: Chooser, have: F64, ids: Ids, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows whose ids are all different, and none that is left has a better score; in order, if promised."""
    taken = np.take_along_axis(have, ids, axis=1)
    others = np.where(chosen, -np.inf, have).max(axis=1, initial=-np.inf)
    good = chosen.sum(axis=1) == ids.shape[1]
    with np.errstate(invalid="ignore"):
        good &= ~(taken.min(axis=1, initial=np.inf) < others)
        if chooser.ordered:
            good &= ~(taken[:, :-1] < taken[:, 1:]).any(axis=1)
    found: NDArray[np.bool_] = good
    return found


def _decibels(signal: float, noise: float) -> float:
    if noise == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / noise) if signal else -math.inf
