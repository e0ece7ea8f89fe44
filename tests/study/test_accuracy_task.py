"""What outputs are judged by: labels, the score, queries and items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimc.errors import CimcError
from cimc.study.accuracy_task import Asked, task_of

LABELS = np.array([0, 1, 1, 0])
SCORE = np.zeros((4, 1), np.float32)
VECTORS = np.eye(4, 3, dtype=np.float32)
RIGHT = np.array([7, 9, 7, -1])


def task(
    asked: Asked, outputs: dict[str, Any], arrays: dict[str, Any] | None = None, items: Any = None
) -> Any:
    return task_of(asked, arrays or {}, ["x"], outputs, items)


def refused(*args: Any) -> CimcError:
    with pytest.raises(CimcError) as caught:
        task(*args)
    return caught.value


# -- labels and scores ---------------------------------------------------------------------------


def test_labels_go_by_their_usual_name() -> None:
    found = task(Asked(), {"y": SCORE}, {"labels": LABELS})
    assert found.output == "y"
    np.testing.assert_array_equal(found.labels, LABELS)


def test_an_input_called_labels_is_an_input() -> None:
    assert task_of(Asked(), {"labels": LABELS}, ["labels"], {"y": SCORE}, None).labels is None


def test_without_labels_the_first_output_of_numbers_is_compared() -> None:
    found = task(Asked(), {"ids": np.zeros(4, int), "y": SCORE})
    assert (found.output, found.labels) == ("y", None)


@pytest.mark.parametrize(
    "labels", [np.array([0, 2, 1, 0]), np.zeros(4), np.array(["a", "b"]), np.array([0.5, 1])]
)
def test_labels_are_0_and_1_and_both_occur(labels: Any) -> None:
    assert refused(Asked(labels="l"), {"y": SCORE}, {"l": labels}).code == "accuracy.bad-labels"


def test_labels_that_are_not_there() -> None:
    error = refused(Asked(labels="click"), {"y": SCORE}, {"labels": LABELS, "b": LABELS})
    assert error.code == "accuracy.bad-labels"
    assert "b, labels" in str(error.hint)


@pytest.mark.parametrize(
    ("output", "outputs"),
    [
        ("", {"y": SCORE, "z": SCORE}),
        ("", {"y": VECTORS}),
        ("z", {"y": SCORE}),
        ("y", {"y": VECTORS, "z": SCORE}),
        ("", {"y": SCORE.astype(int)}),
    ],
)
def test_the_score_must_be_plain(output: str, outputs: dict[str, Any]) -> None:
    assert refused(Asked(output=output), outputs, {"labels": LABELS}).code == "accuracy.which-output"


def test_of_two_scores_one_is_named() -> None:
    found = task(Asked(output="z", logits=True), {"y": SCORE, "z": SCORE}, {"labels": LABELS})
    assert (found.output, found.logits) == ("z", True)


# -- retrieval -----------------------------------------------------------------------------------

TOWERS = Asked(recall_at=(2, 1, 2), query="u", item="i", relevant="right")


def test_items_are_those_of_the_requests() -> None:
    found = task(TOWERS, {"u": VECTORS, "i": VECTORS}, {"right": RIGHT}).retrieval
    assert found.ks == (1, 2)
    assert found.queries.tolist() == [0, 1, 2]  # the last has no right item
    assert found.ids.tolist() == [7, 9]
    assert found.rows.tolist() == [0, 1]


def test_items_may_have_a_file_of_their_own() -> None:
    found = task(TOWERS, {"u": VECTORS}, {"right": RIGHT}, {"right": np.array([9, 7, 5])}).retrieval
    assert found.ids.tolist() == [9, 7, 5]
    assert found.rows is None


def test_labels_say_which_requests_are_queries() -> None:
    found = task(TOWERS, {"u": VECTORS, "i": VECTORS}, {"right": RIGHT, "labels": LABELS})
    assert found.retrieval.queries.tolist() == [1, 2]
    assert found.labels is None  # no output is a score
    assert found.output == "u"


def test_an_output_may_hold_all_scores() -> None:
    asked = Asked(recall_at=(2,), scores="s", relevant="right")
    found = task(asked, {"s": VECTORS}, {"right": np.array([0, 1, 2, 2])}).retrieval
    assert found.ids.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("outputs", "arrays", "items"),
    [
        ({"u": VECTORS}, {"right": RIGHT}, None),
        ({"u": SCORE[:, 0], "i": VECTORS}, {"right": RIGHT}, None),
        ({"u": VECTORS.astype(int), "i": VECTORS}, {"right": RIGHT}, None),
        ({"u": VECTORS, "i": VECTORS}, {}, None),
        ({"u": VECTORS, "i": VECTORS}, {"right": RIGHT[:2]}, None),
        ({"u": VECTORS, "i": VECTORS}, {"right": RIGHT.astype(float)}, None),
        ({"u": VECTORS, "i": VECTORS}, {"right": np.stack([RIGHT, RIGHT], 1)}, None),
        ({"u": VECTORS, "i": VECTORS}, {"right": np.full(4, -1)}, None),
        ({"u": VECTORS}, {"right": RIGHT}, {"right": np.array([7, 7, 9])}),
        ({"u": VECTORS}, {"right": RIGHT}, {"right": np.array([7])}),
    ],
)
def test_what_cannot_be_searched(outputs: Any, arrays: Any, items: Any) -> None:
    assert refused(TOWERS, outputs, arrays, items).code == "accuracy.bad-retrieval"


@pytest.mark.parametrize(
    "asked",
    [
        Asked(query="u"), Asked(relevant="r"), Asked(scores="s", query="u", recall_at=(1,), relevant="r"),
        Asked(recall_at=(1,), relevant="r"), Asked(recall_at=(1,), query="u", item="i"),
    ],
)  # fmt: skip
def test_options_that_mean_nothing_together(asked: Asked) -> None:
    with pytest.raises(CimcError) as caught:
        asked.check(False)
    assert caught.value.code == "accuracy.bad-retrieval"


def test_metrics_that_nothing_here_gives() -> None:
    TOWERS.check(True)
    TOWERS.check_metrics(["auc", "recall@2", "overlap@1"])
    with pytest.raises(CimcError) as caught:
        TOWERS.check_metrics(["recall@3"])
    assert caught.value.code == "accuracy.no-metric"
