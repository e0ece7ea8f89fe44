"""What a search tries: no two alike, always the same, the given one first."""

from __future__ import annotations

from cimc.remarks import AllocationRemarks
from cimc.search.candidate_pipelines import candidates
from cimc.transforms.passes import DEFAULT_PIPELINE
from cimc.transforms.pipeline import Pipeline

BASE = Pipeline.parse(DEFAULT_PIPELINE).passes
DECIDED = AllocationRemarks("throughput", 64, 12, 4, 1, 1.0, 1.0, 1.0, 1.0, 0.0, "cp-sat")


def test_candidates_differ_and_the_given_one_is_first() -> None:
    found = candidates(BASE, DECIDED, 4, 40)
    assert found[0] == ("", BASE)
    assert len(found) == 40
    assert len({each.passes for each in found}) == 40
    assert len({each.changes for each in found}) == 40
    assert found == candidates(BASE, DECIDED, 4, 40)
    assert found[:7] == candidates(BASE, DECIDED, 4, 7)
    words = " ".join(each.changes for each in found)
    for part in (
        "allocate{most=6}",
        "load=128",
        "tiles=",
        "chips=",
        "array_slack=",
        "reduction_tiles=",
        ", ",
    ):
        assert part in words
    # what is tried stands in the pipeline, and comes back from its text
    assert all(Pipeline.parse(str(Pipeline(each.passes))).passes == each.passes for each in found)


def test_without_allocate_copies_are_tried() -> None:
    base = tuple(p for p in BASE if p.name != "allocate")
    words = " ".join(each.changes for each in candidates(base, None, 1, 12))
    assert "copy{instances=4}" in words
    assert "strategy=ortools" in words
    assert "allocate" not in words
    assert "chips=" not in words


def test_of_one_chip_and_of_many_seeds() -> None:
    assert len(candidates(BASE, DECIDED, 1, 60)) == 60
    assert [each.changes for each in candidates(BASE, DECIDED, 1, 1)] == [""]
