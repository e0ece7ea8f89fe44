"""The outcome of a run as Markdown: counts, a table by operator, exclusions by rule, and what failed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from bench.conformance.cases import RULES
from bench.conformance.judge import Outcome
from bench.conformance.run import GIVEN, Row


def report(rows: Sequence[Row]) -> str:
    """The whole text."""
    return (
        "\n".join([*_counts(rows), "", *_exclusions(rows), "", *_failures(rows), "", *_operators(rows)])
        + "\n"
    )


def _counts(rows: Sequence[Row]) -> list[str]:
    counted = [r for r in rows if r.excluded is None]
    passed = [r for r in counted if r.passed]
    chip = [r for r in passed if r.units]
    arrays = sum("arrays" in r.units for r in chip)
    return [
        "| | tests |",
        "|---|---|",
        f"| in all | {len(rows)} |",
        f"| excluded | {len(rows) - len(counted)} |",
        f"| counted | {len(counted)} |",
        f"| **passed in all** | **{len(passed)}** |",
        f"| **passed with the arrays or the vector unit doing work** | **{len(chip)}** |",
        f"| of these with arrays | {arrays} |",
        f"| refused with an error | {sum(_refused(r) for r in counted)} |",
        f"| wrong or crashed, in any form | {sum(bool(r.bad) for r in rows)} |",
    ]


def _refused(row: Row) -> bool:
    return any(v.outcome is Outcome.REFUSED for (form, _), v in row.verdicts.items() if form == GIVEN)


def _exclusions(rows: Sequence[Row]) -> list[str]:
    lines = ["| excluded because | tests | of operators |", "|---|---|---|"]
    for rule in RULES:
        hit = [r for r in rows if r.excluded is not None and r.excluded[0] == rule]
        lines.append(f"| {rule} | {len(hit)} | {_listed(Counter(r.op for r in hit if r.op))} |")
    return lines


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))


def _failures(rows: Iterable[Row]) -> list[str]:
    """Whatever did not pass, grouped by form, outcome and code."""
    groups: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for row in rows:
        for (form, path), v in row.verdicts.items():
            if v.outcome is Outcome.PASSED or (row.excluded is not None and v.outcome is Outcome.REFUSED):
                continue
            why = v.code or re.sub(r"\|", "/", v.detail[:120])
            groups[form, path, v.outcome.value, why].append(row.op if v.code else f"`{row.name}`")
    lines = ["| form | path | outcome | why | tests |", "|---|---|---|---|---|"]
    for (form, path, outcome, why), names in groups.items():
        shown = why if why.count(" ") else f"`{why}`"
        lines.append(f"| {form} | {path} | {outcome} | {shown} | {len(names)}: {_listed(Counter(names))} |")
    return lines


def _operators(rows: Iterable[Row]) -> list[str]:
    by_op: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.excluded is None:
            by_op[row.op].append(row)
    lines = ["| operator | counted | passed | on the chip | arrays |", "|---|---|---|---|---|"]
    for op, found in sorted(by_op.items()):
        passed = [r for r in found if r.passed]
        chip = sum(bool(r.units) for r in passed)
        arrays = sum("arrays" in r.units for r in passed)
        lines.append(f"| {op} | {len(found)} | {len(passed)} | {chip or ''} | {arrays or ''} |")
    return lines
