"""Judges node tests in all their forms."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from bench.conformance import cases
from bench.conformance.cases import Case
from bench.conformance.judge import FORCED, Outcome, Verdict, judge_exact, judge_float
from cimc.transforms.passes import FRONTEND

GIVEN = "as given"
VECTOR = "vector unit"
PARAMETERS = "parameters"
BATCH = "open batch"
FORMS = (GIVEN, VECTOR, PARAMETERS, BATCH)


@dataclass(frozen=True)
class Row:
    """What became of one test.

    Attributes:
        excluded: the rule by which the test does not count, and what decided; ``None``: it counts.
        verdicts: by form and path.
    """

    name: str
    op: str
    excluded: tuple[str, str] | None
    verdicts: dict[tuple[str, str], Verdict] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the test counts, passes as given on both paths, and is wrong in no other form."""
        given = [self.verdicts.get((GIVEN, path)) for path in ("float", "exact")]
        fine = all(v is not None and v.outcome is Outcome.PASSED for v in given)
        return self.excluded is None and fine and not self.bad

    @property
    def units(self) -> frozenset[str]:
        """Units of the chip that did work in a form that passes on both paths."""
        return frozenset(
            unit
            for (form, path), v in self.verdicts.items()
            if path == "exact"
            and v.outcome is Outcome.PASSED
            and self.verdicts[form, "float"].outcome is Outcome.PASSED
            for unit in v.units
        )

    @property
    def bad(self) -> list[tuple[str, str, Verdict]]:
        """Forms and paths that ran and gave wrong results, or crashed."""
        return [
            (f, p, v) for (f, p), v in self.verdicts.items() if v.outcome in (Outcome.WRONG, Outcome.CRASHED)
        ]


def judge(case: Case, chosen: Collection[str] = FORMS) -> Row:
    """Verdicts on the ``chosen`` forms of ``case``.

    A test on which onnxruntime and ONNX disagree is held against onnxruntime, unless that is random; one that
    onnxruntime cannot run is not tried.
    """
    excluded = cases.exclusion(case)
    row = Row(case.name, case.op, excluded)
    if excluded is not None:
        reference = cases.with_onnxruntime(case) if excluded[0] == cases.DISAGREES else None
        if reference is None:
            return row
        case = reference
    for form, front, variant in forms(case):
        if form not in chosen:
            continue
        for path, judge_path in (("float", judge_float), ("exact", judge_exact)):
            found = judge_path(variant, front)
            before = row.verdicts.get((form, path))
            if before is None or before.outcome is Outcome.PASSED:  # of several sets, the first that fails
                row.verdicts[form, path] = found
    return row


def forms(case: Case) -> Iterator[tuple[str, str, Case]]:
    """Name, first passes and model of every form of ``case``."""
    yield GIVEN, FRONTEND, case
    yield VECTOR, FORCED, case
    inner = list(cases.with_parameters(case))
    for variant in inner:
        yield PARAMETERS, FORCED, variant
    for variant in inner[:1] or [case]:
        batch = cases.with_open_batch(variant)
        if batch is not None:
            yield BATCH, FORCED, batch


def judge_all(chosen: Iterable[Case | str]) -> Iterator[Row]:
    """A row per test; a bare name stands for a test whose values are no plain tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in chosen:
            if isinstance(case, str):
                yield Row(case, "", (cases.OTHER_TYPES, ""))
            else:
                yield judge(case)
