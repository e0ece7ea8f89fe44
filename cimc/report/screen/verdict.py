"""The verdict of ``--check`` in a line or two."""

from __future__ import annotations

import math

from cimc.compare.check import Check, OutputCheck
from cimc.errors import printable
from cimc.report.screen.answers import Line
from cimc.support.quantities import count

_SHOWN = 3


def verdict(check: Check) -> list[Line]:
    """Whether a run is close enough, and its worst output; failures first."""
    failures = check.failures
    lines: list[Line] = []
    if failures:
        lines = [("accuracy" if n == 0 else "", f"FAILS: {text}") for n, text in enumerate(failures[:_SHOWN])]
        if len(failures) > _SHOWN:
            lines.append(("", f"and {count(len(failures) - _SHOWN)} more that fail"))
        return lines + _auc(check)
    many = f"all {count(len(check.outputs))} outputs pass; worst " if len(check.outputs) > 1 else "passes: "
    worst = min(check.outputs, key=_closeness, default=None)
    if worst is None:
        return [("accuracy", "nothing to compare")]
    lines = [("accuracy", f"{many}{_close(worst)}")]
    lines += _auc(check)
    if check.choices:
        least = min(check.choices, key=lambda c: c.recall)
        lines.append(("", f"recall@{least.k} {least.recall:.3f} of {printable(least.label)}"))
    return lines


def _closeness(output: OutputCheck) -> float:
    return math.inf if math.isnan(output.sqnr_db) else output.sqnr_db


def _close(output: OutputCheck) -> str:
    name = printable(output.name)
    if math.isnan(output.sqnr_db):
        return f"'{name}', {100 * output.equal:.4g} % equal"
    error = f"max abs error {output.max_abs_error:.3g} of {output.peak:.3g}"
    return f"'{name}', SQNR {output.sqnr_db:.1f} dB, {error}"


def _auc(check: Check) -> list[Line]:
    """The AUC that falls most, where there are labels."""
    drops = [o for o in check.outputs if o.auc_drop is not None]
    if not drops:
        return []
    output = max(drops, key=lambda o: o.auc_drop or 0.0)
    which = f" of '{printable(output.name)}', where it falls most" if len(drops) > 1 else ""
    interval = ""
    if output.auc_drop_low is not None and output.auc_drop_high is not None:
        interval = f" [{output.auc_drop_low:.4f}, {output.auc_drop_high:.4f}]"
    scores = f"AUC {output.auc_reference:.4f} before, {output.auc:.4f} after"
    return [("", f"{scores}: falls by {output.auc_drop:.4f}{interval}{which}")]
