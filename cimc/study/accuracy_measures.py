"""Accuracy as a recommendation engineer reads it: AUC, log loss, NE and recall, each with an interval.

A :class:`Task` says what the outputs of a model are judged by; :func:`measure` judges them.  The same task
measures the float model and every point of a sweep, so that all are compared on the same requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import RequestError, printable
from cimc.metrics.intervals import QUERIES, Estimate
from cimc.metrics.ranking import recall, top_k, top_k_by_product
from cimc.metrics.scores import background_entropy, cross_entropies
from cimc.metrics.two_way import (
    Sample,
    auc_drop_sample,
    auc_sample,
    estimate,
    mean_sample,
    sqnr_sample,
)
from cimc.support.shown import Shown, counted, some

Arrays = Mapping[str, NDArray[Any]]
Metrics = dict[str, Estimate]
Samples = dict[str, Sample]

HEADINGS = {
    "auc": "AUC",
    "auc_drop": "AUC drop",
    "log_loss": "log loss",
    "ne": "NE",
    "sqnr_db": "SQNR (dB)",
}
"""Metric -> what a table or an axis calls it; ``recall@K`` and ``overlap@K`` are called so."""

LARGER_IS_WORSE = ("auc_drop", "log_loss", "ne")


@dataclass(frozen=True)
class Retrieval:
    """How the best items are found for a query, and which ones are right.

    Attributes:
        query, item: outputs with a vector per query and per item, scored by their inner product; or
        scores: an output with a score per query and item (then ``query`` and ``item`` are empty).
        ks: how many items are retrieved, ascending.
        queries: ``int64[Q]``: requests that are queries.
        relevant: ``int64[Q]`` or ``int64[Q, R]``: ids of the right items of each query, below 0: nothing.
        ids: ``int64[N]``: ids of the items, in the order of their vectors or scores.
        rows: ``int64[N]``: requests whose ``item`` vectors these are; ``None``: a corpus of its own.
    """

    query: str
    item: str
    scores: str
    ks: tuple[int, ...]
    queries: NDArray[np.int64]
    relevant: NDArray[np.int64]
    ids: NDArray[np.int64]
    rows: NDArray[np.int64] | None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs that are needed of the requests."""
        if self.scores:
            return (self.scores,)
        return (self.query,) if self.rows is None else (self.query, self.item)


@dataclass(frozen=True, repr=False)
class Task(Shown):
    """What outputs are judged by.

    Attributes:
        output: one score per request where there are ``labels``; in any case what SQNR is about.
        labels: 0 or 1 per request, or ``None``.
        logits: whether scores are log-odds and not probabilities.
        retrieval: what recall is about, or ``None``.
    """

    output: str
    labels: NDArray[Any] | None = None
    logits: bool = False
    retrieval: Retrieval | None = None

    def _brief(self) -> str:
        labels = "no labels" if self.labels is None else counted(len(self.labels), "label")
        return f"on output {self.output!r}: {labels}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs that are needed."""
        more = self.retrieval.outputs if self.retrieval is not None else ()
        return tuple(dict.fromkeys((self.output, *more)))


@dataclass(frozen=True)
class Answers:
    """What a model said: its outputs, and the vectors ``[N, D]`` of a corpus of its own."""

    outputs: Arrays
    corpus: NDArray[Any] | None = None


def measure(task: Task, answers: Answers, reference: Answers | None) -> Metrics:
    """All metrics of a task, with intervals over requests; arguments and errors as of :func:`sample`."""
    return over([sample(task, answers, reference)])


def sample(task: Task, answers: Answers, reference: Answers | None) -> Samples:
    """All metrics of a task, with what each request contributed.

    ``reference``: the float model's answers, for ``auc_drop``, ``overlap@K`` and ``sqnr_db``; ``None`` leaves
    these out.

    Raises:
        RequestError: ``accuracy.not-finite``: a score is infinite or NaN.
    """
    found: Samples = {}
    if task.labels is not None:
        found |= _clicks(task, answers.outputs, None if reference is None else reference.outputs)
    if task.retrieval is not None:
        best = _best(task.retrieval, answers)
        right = _best(task.retrieval, reference) if reference is not None else None
        for k in task.retrieval.ks:
            each = recall(best[:, :k], task.retrieval.relevant)
            found[f"recall@{k}"] = mean_sample(each[np.isfinite(each)], QUERIES, bounded=True)
        if right is not None:
            for k in task.retrieval.ks:
                each = recall(best[:, :k], right[:, :k])
                found[f"overlap@{k}"] = mean_sample(each, QUERIES, bounded=True)
    if reference is not None:
        found["sqnr_db"] = sqnr_sample(reference.outputs[task.output], answers.outputs[task.output])
    return found


def _clicks(task: Task, outputs: Arrays, reference: Arrays | None) -> Samples:
    labels, scores = task.labels, _finite(outputs[task.output], task.output)
    assert labels is not None
    found = {"auc": auc_sample(labels, scores)}
    if reference is not None:
        found["auc_drop"] = auc_drop_sample(labels, _finite(reference[task.output], task.output), scores)
    odds = scores.astype(np.float64)
    probabilities = np.exp(-np.logaddexp(0.0, -odds)) if task.logits else odds
    if float(probabilities.min()) >= 0.0 and float(probabilities.max()) <= 1.0:
        each = cross_entropies(labels, probabilities)
        found["log_loss"] = mean_sample(each)
        found["ne"] = mean_sample(each / background_entropy(labels))
    return found


def _best(retrieval: Retrieval, answers: Answers) -> NDArray[np.int64]:
    """Ids of the best items of every query, as many as the largest ``k``."""
    most = retrieval.ks[-1]
    if retrieval.scores:
        scores = _finite(answers.outputs[retrieval.scores], retrieval.scores)
        return top_k(scores[retrieval.queries], retrieval.ids, most)
    queries = _finite(answers.outputs[retrieval.query], retrieval.query)[retrieval.queries]
    items = answers.corpus if retrieval.rows is None else answers.outputs[retrieval.item][retrieval.rows]
    assert items is not None
    return top_k_by_product(queries, _finite(items, retrieval.item), retrieval.ids, most)


def _finite(array: NDArray[Any], name: str) -> NDArray[Any]:
    if not np.isfinite(array).all():
        raise RequestError("accuracy.not-finite", f"output '{printable(name)}' holds infinity or NaN")
    return array


def over(chips: Sequence[Samples]) -> Metrics:
    """Metrics of several chips as one: means, with intervals over chips and requests; of one over requests.

    A metric that some chip does not have (a log loss whose scores leave 0..1) is left out.
    """
    common = [name for name in chips[0] if all(name in each for each in chips)]
    return {name: estimate([each[name] for each in chips]) for name in common}


# --------------------------------------------------------------------------------------------------
# Results


@dataclass(frozen=True, repr=False)
class Point(Shown):
    """One combination of settings.

    Attributes:
        settings: what was chosen, by name.
        metrics: what came of it; empty where it is not possible.
        seeds: seeds of the device, a chip each, that were averaged; empty where nothing is random.
        each: metrics of every seed, in their order.
        error: why the combination is not possible, as an ``error`` object; ``None`` where it is.
    """

    settings: dict[str, Any]
    metrics: Metrics
    seeds: tuple[int, ...] = ()
    each: tuple[Metrics, ...] = ()
    error: dict[str, Any] | None = None

    def _brief(self) -> str:
        values = some([f"{name} {m.value:.4g}" for name, m in self.metrics.items()])
        return f"{some([f'{k}={v}' for k, v in self.settings.items()])}: {values or 'not possible'}"

    def to_json(self) -> dict[str, Any]:
        """The point as an object; values of single seeds under ``per_seed``."""
        return {
            "settings": self.settings,
            "metrics": {name: m.to_json() for name, m in self.metrics.items()},
            "seeds": list(self.seeds),
            "per_seed": {
                name: [one[name].value for one in self.each] for name in (self.metrics if self.each else ())
            },
            "error": self.error,
        }


@dataclass(frozen=True, repr=False)
class Study(Shown):
    """A sweep: its points in order, and what they are compared with.

    Attributes:
        about: model, target, requests and the like, by name.
        reference: metrics of the float model; empty where it was not run.
        axes: names of the settings that vary, with their values in order.
        notes: what a reader must know.
    """

    about: dict[str, Any]
    reference: Metrics
    points: tuple[Point, ...]
    axes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def _brief(self) -> str:
        axes = f" over {some(self.axes)}" if self.axes else ""
        return f"of {counted(len(self.points), 'point')}{axes}: {some(self.metrics)}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics that some point has, in their order."""
        return tuple(dict.fromkeys(name for point in self.points for name in point.metrics))

    def to_json(self) -> dict[str, Any]:
        """The object of ``cimc accuracy --json``."""
        return {
            **self.about,
            "reference": {name: m.to_json() for name, m in self.reference.items()},
            "axes": {name: list(values) for name, values in self.axes.items()},
            "points": [point.to_json() for point in self.points],
            "notes": list(self.notes),
        }


def heading(metric: str) -> str:
    """What a table or an axis calls a metric."""
    return HEADINGS.get(metric, metric)
