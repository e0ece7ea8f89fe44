"""The verdict of a check, from made-up comparisons."""

from __future__ import annotations

from dataclasses import replace
from math import nan

from cimc.compare.check import Bound, Check
from cimc.report.screen.verdict import verdict
from tests.report.test_summary import GOOD


def texts(*outputs: object) -> list[str]:
    return [str(text) for _, text in verdict(Check(Bound(), tuple(outputs)))]  # type: ignore[arg-type]


def test_the_worst_output_is_shown() -> None:
    worse = replace(GOOD, name="z", sqnr_db=20.0)
    assert texts(GOOD) == ["passes: 'y', SQNR 31.2 dB, max abs error 0.01 of 2"]
    assert texts(GOOD, worse)[0].startswith("all 2 outputs pass; worst 'z', SQNR 20.0 dB")


def test_failures_come_first_and_are_counted() -> None:
    bad = [replace(GOOD, name=f"o{n}", failures=("far off",)) for n in range(5)]
    found = texts(GOOD, *bad)
    assert found[0] == "FAILS: output 'o0': far off"
    assert found[-1] == "and 2 more that fail"
    assert len(found) == 4


def test_texts_and_integers_have_a_share_of_equal_elements() -> None:
    assert texts(replace(GOOD, sqnr_db=nan, equal=0.975)) == ["passes: 'y', 97.5 % equal"]
    assert texts() == ["nothing to compare"]


def test_the_auc_that_falls_most() -> None:
    a = replace(
        GOOD, name="a", auc_reference=0.8, auc=0.79, auc_drop=0.01, auc_drop_low=0.0, auc_drop_high=0.02
    )
    b = replace(GOOD, name="b", auc_reference=0.7, auc=0.7, auc_drop=0.0)
    assert texts(a)[1] == "AUC 0.8000 before, 0.7900 after: falls by 0.0100 [0.0000, 0.0200]"
    assert texts(a, b)[1].endswith("of 'a', where it falls most")


def test_a_check_that_fails_has_its_auc_too() -> None:
    bad = replace(GOOD, failures=("far off",), auc_reference=0.8, auc=0.7, auc_drop=0.1)
    assert texts(bad) == ["FAILS: output 'y': far off", "AUC 0.8000 before, 0.7000 after: falls by 0.1000"]
