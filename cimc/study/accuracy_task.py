"""What outputs are judged by: labels, the score, queries and items, from options and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import CimcError, RequestError, printable
from cimc.study.accuracy_measures import HEADINGS, Retrieval, Task
from cimc.workload.request_rules import Arrays

DEFAULT_LABELS = "labels"


@dataclass(frozen=True)
class Asked:
    """The options that say what is measured; ``""`` or empty: not given."""

    labels: str = ""
    output: str = ""
    logits: bool = False
    recall_at: tuple[int, ...] = ()
    query: str = ""
    item: str = ""
    scores: str = ""
    relevant: str = ""

    def check(self, has_items: bool) -> None:
        """Refuse combinations that mean nothing.

        Raises:
            CimcError: ``accuracy.bad-retrieval``.
        """
        if self.scores and (self.query or self.item):
            raise _retrieval("--scores is an output with all scores; --query and --item are for vectors")
        if not self.recall_at:
            if self.query or self.item or self.scores or self.relevant or has_items:
                raise _retrieval("options of retrieval without --recall-at")
            return
        if not self.scores and not (self.query and self.item):
            raise _retrieval("--recall-at needs the outputs: --query and --item, or --scores")
        if not self.relevant:
            raise _retrieval("--recall-at needs --relevant, the array with the right item of every request")

    def check_metrics(self, metrics: Sequence[str]) -> None:
        """Refuse, before the work, metrics to draw that nothing here can give.

        Raises:
            CimcError: ``accuracy.no-metric``.
        """
        known = [*HEADINGS, *(f"{kind}@{k}" for k in self.recall_at for kind in ("recall", "overlap"))]
        for name in metrics:
            if name not in known:
                raise CimcError(
                    "accuracy.no-metric",
                    f"'{printable(name)}' is not measured",
                    hint=f"with these options: {', '.join(known)}",
                )


def _retrieval(why: str) -> CimcError:
    return CimcError(
        "accuracy.bad-retrieval",
        why,
        hint="for instance --recall-at 10 --query user_vec --item item_vec --relevant item_id",
    )


def task_of(
    asked: Asked,
    arrays: Arrays,
    inputs: Sequence[str],
    outputs: Mapping[str, NDArray[Any]],
    items: Arrays | None,
) -> Task:
    """The task that the options describe.

    Args:
        asked: the options.
        arrays: the request file.
        inputs: names of the model's inputs.
        outputs: what some run of these requests gave: it shows shapes and types.
        items: the file of items, if there is one.

    Raises:
        CimcError: ``accuracy.bad-labels``, ``accuracy.which-output``, ``accuracy.bad-retrieval``.
    """
    labels = _labels(asked.labels, arrays, inputs)
    retrieval = None
    if asked.recall_at:
        retrieval = _retrieval_of(asked, arrays, outputs, items, labels)
    output = asked.output
    if labels is not None and retrieval is not None and not output and not _fitting(outputs, labels.size):
        labels = None  # they say which requests are queries, and there is no score for them to judge
    if labels is not None:
        output = _score_output(asked.output, outputs, labels.size)
    elif not output:
        floats = [name for name, array in outputs.items() if array.dtype.kind == "f"]
        output = retrieval.outputs[0] if retrieval is not None else floats[0] if floats else ""
    if output not in outputs or outputs[output].dtype.kind != "f":
        raise _which(f"there is no output '{printable(output)}' of real numbers", outputs)
    return Task(output, labels, asked.logits, retrieval)


def _labels(name: str, arrays: Arrays, inputs: Sequence[str]) -> NDArray[Any] | None:
    if not name:
        if DEFAULT_LABELS not in arrays or DEFAULT_LABELS in inputs:
            return None
        name = DEFAULT_LABELS
    if name not in arrays:
        raise RequestError(
            "accuracy.bad-labels",
            f"the request file has no array '{printable(name)}'",
            hint=f"its arrays: {', '.join(printable(n) for n in sorted(arrays))}",
        )
    labels = arrays[name].reshape(-1)
    if labels.dtype.kind not in "biuf" or not np.isin(labels, (0, 1)).all() or len(np.unique(labels)) != 2:
        raise RequestError(
            "accuracy.bad-labels",
            f"labels '{printable(name)}' must be 0 or 1, and both must occur",
            hint="labels are one array of 0 and 1 in the request file; name it with --labels",
        )
    return labels


def _score_output(name: str, outputs: Mapping[str, NDArray[Any]], count: int) -> str:
    """The output with one score per label: the one asked for, or the only one."""
    fitting = _fitting(outputs, count)
    if name:
        if name not in fitting:
            raise _which(
                f"output '{printable(name)}' does not have one score for each of {count} labels", outputs
            )
        return name
    if len(fitting) != 1:
        why = "no output has" if not fitting else f"{len(fitting)} outputs have"
        raise _which(f"{why} one score for each of {count} labels", outputs)
    return fitting[0]


def _fitting(outputs: Mapping[str, NDArray[Any]], count: int) -> list[str]:
    return [n for n, a in outputs.items() if a.dtype.kind == "f" and a.size == count]


def _which(why: str, outputs: Mapping[str, NDArray[Any]]) -> CimcError:
    shown = ", ".join(f"{printable(n)} {a.dtype}{list(a.shape)}" for n, a in outputs.items())
    return CimcError("accuracy.which-output", why, hint=f"name one with --output; outputs: {shown}")


def _retrieval_of(
    asked: Asked,
    arrays: Arrays,
    outputs: Mapping[str, NDArray[Any]],
    items: Arrays | None,
    labels: NDArray[Any] | None,
) -> Retrieval:
    first = asked.scores or asked.query
    needed = [first] if asked.scores or items is not None else [first, asked.item]
    for name in needed:
        if name not in outputs or outputs[name].ndim != 2 or outputs[name].dtype.kind != "f":
            raise _retrieval(f"output '{printable(name)}' is not a row of real numbers per request")
    requests = len(outputs[first])
    relevant = _ids(asked.relevant, arrays, "request")
    if len(relevant) != requests or relevant.ndim > 2:
        raise _retrieval(
            f"'{printable(asked.relevant)}' has shape {list(relevant.shape)}; a row for each of {requests} "
            "requests is needed"
        )
    queries = np.arange(requests) if labels is None else np.flatnonzero(labels)
    queries = queries[(relevant[queries].reshape(len(queries), -1) >= 0).any(axis=1)]
    ids, rows = _corpus(asked, relevant, outputs, items)
    ks = tuple(sorted(set(asked.recall_at)))
    if ks[-1] > len(ids):
        raise _retrieval(f"--recall-at {ks[-1]}: there are {len(ids)} items")
    if not len(queries):
        raise _retrieval("no request has a right item")
    query, item = ("", "") if asked.scores else (asked.query, asked.item)
    return Retrieval(query, item, asked.scores, ks, queries, relevant[queries], ids, rows)


def _corpus(
    asked: Asked, relevant: NDArray[np.int64], outputs: Mapping[str, NDArray[Any]], items: Arrays | None
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Ids of all items, and the requests that hold their vectors where there is no corpus of its own."""
    if asked.scores:
        count = outputs[asked.scores].shape[1]
        ids = np.arange(count, dtype=np.int64) if items is None else _ids(asked.relevant, items, "item")
        if ids.shape != (count,):
            raise _retrieval(
                f"'{printable(asked.scores)}' scores {count} items, the item file has {ids.shape[0]}"
            )
    elif items is not None:
        ids = _ids(asked.relevant, items, "item")
    else:
        if relevant.ndim != 1:
            raise _retrieval("several right items per request need all items: --items")
        ids, rows = np.unique(relevant, return_index=True)
        keep = ids >= 0
        return ids[keep], rows[keep].astype(np.int64)
    if ids.ndim != 1 or len(np.unique(ids)) != len(ids):
        raise _retrieval(f"'{printable(asked.relevant)}' of the item file must hold a different id per item")
    return ids, None


def _ids(name: str, arrays: Arrays, what: str) -> NDArray[np.int64]:
    if name not in arrays or arrays[name].dtype.kind not in "iu" or not arrays[name].ndim:
        raise _retrieval(f"the {what} file has no array '{printable(name)}' of whole numbers")
    return arrays[name].astype(np.int64)
