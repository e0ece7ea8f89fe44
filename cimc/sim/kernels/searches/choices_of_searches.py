"""What a program's searches chose, and by which scores: as if a node of the model had chosen on the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.host.choices import Choice, Chooser
from cimc.interpreter import numerics
from cimc.isa.program import Program
from cimc.remarks.corpus_remarks import Searched

SHARES = ("softmax", "logsoftmax")
"""Functions of all scores, which no vector unit computes."""

Arrays = Mapping[str, NDArray[Any]]


def searched_choices(program: Program, scores: Arrays, values: Arrays) -> list[Choice]:
    """A choice for each search that the program has a remark of.

    ``scores``: of each corpus, float32 ``[B, items]``, as the search has them; ``values`` of the program.
    """
    found = program.remarks.corpus
    return (
        []
        if found is None
        else [_choice(each, scores[each.corpus], values[each.ids]) for each in found.searches]
    )


def _shares(scores: NDArray[Any], function: str) -> NDArray[Any]:
    """Softmax of ``scores [B, items]``, or its logarithm."""
    below = scores - scores.max(axis=1, keepdims=True)
    whole = np.exp(below).sum(axis=1, keepdims=True)
    made: NDArray[Any] = np.exp(below) / whole if function == "softmax" else below - np.log(whole)
    return made


def _choice(search: Searched, scores: NDArray[Any], ids: NDArray[Any]) -> Choice:
    made = scores * np.float32(search.scale)
    for function in search.after:
        made = _shares(made, function) if function in SHARES else numerics.unary(function, made, 0.0, 0.0)
    kept = search.op == "TopK" or ids.ndim > 1
    shape = (*ids.shape[:-1], search.items) if kept else (*ids.shape, search.items)
    chooser = Chooser(search.node, search.op, -1, True, True, kept, "", "", "", "", ())
    return Choice(chooser, made.reshape(shape), ids)
