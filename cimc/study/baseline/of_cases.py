"""Rows of a study beside the CPU: each case of a model that has a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cimc.errors import CimcError, Location, printable
from cimc.report.blocks import Block, facts, table
from cimc.study.baseline.ratios import ANCHOR, SIMULATED, Ratios, figures, headings, ratios, shown
from cimc.study.baseline.records import Baseline
from cimc.study.baseline.scopes import CostTerms
from cimc.study.cases import Workload, model_digest
from cimc.study.results import Row


def baselines_of(workloads: Sequence[Workload], files: Sequence[Path]) -> dict[str, Baseline]:
    """Workload -> its baseline, where a file holds one.

    Raises:
        CimcError: as :meth:`~cimc.study.baseline.records.Baseline.load`; ``baseline.other-model`` for a file
            that belongs to none of them, or a second one for the same.
    """
    found: dict[str, Baseline] = {}
    for file in files:
        baseline = Baseline.load(file)
        mine = [w.name for w in workloads if model_digest(w.model, w.weights) == baseline.model_digest]
        if not mine or mine[0] in found:
            why = "was measured on none of the models" if not mine else f"is the second one of {mine[0]}"
            raise CimcError(
                "baseline.other-model",
                f"the baseline {why}: {printable(baseline.model)}, {baseline.model_digest[:12]}",
                location=Location(file=printable(str(file), 400)),
                hint="measure one for each model with: cimc baseline MODEL --inputs REQ.npz --save FILE",
            )
        found |= dict.fromkeys(mine, baseline)
    return found


def _beside(rows: Sequence[Row], model: str, baseline: Baseline) -> Iterator[tuple[Row, Ratios]]:
    for row in rows:
        parts, arrays = row.get("energy_parts_pj"), row.get("array_energy_pj")
        if row["model"] != model or row.get("error") or parts is None or arrays is None:
            continue
        terms = CostTerms(arrays, parts, row.get("static_w"))
        yield row, ratios(baseline, terms, row.get("throughput_rps"), SIMULATED)


def case_blocks(rows: Sequence[Row], baselines: Mapping[str, Baseline]) -> list[Block]:
    """A table a model."""
    out: list[Block] = []
    for model, baseline in baselines.items():
        cells: list[tuple[object, ...]] = []
        columns: list[str] = []
        notes: tuple[str, ...] = ()
        for row, found in _beside(rows, model, baseline):
            columns, notes = headings(found.rows), found.notes
            case = (row["target"], row["strategy"], row["seed"])
            cells += [(*case, *figures(s), *shown(s, found.rows.values())) for s in found.scopes]
        fixed = ("target", "strategy", ">seed", "scope", ">requests/s", ">power", ">requests/J")
        out.append(table(f"{model} against {baseline.cpu}", (*fixed, *columns), cells))
        said = [("its power", baseline.power), *(("note", text) for text in notes), ("anchor", ANCHOR)]
        out.append(facts("", said))
    return out


def case_json(rows: Sequence[Row], baselines: Mapping[str, Baseline]) -> list[dict[str, Any]]:
    """Plain data, an object a case."""
    keys = ("model", "target", "strategy", "seed")
    return [
        {**{key: row[key] for key in keys}, **found.to_json()}
        for model, baseline in baselines.items()
        for row, found in _beside(rows, model, baseline)
    ]
