"""``cimc targets``: the machines that come with cimc, with every constant, unit and source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cimc.cli import options

if TYPE_CHECKING:
    from cimc.report.blocks import Block
    from cimc.target.spec import Target


@click.command(
    "targets",
    short_help="Machines, with every constant and source.",
    epilog=options.examples(
        "cimc targets", "cimc targets isaac32", "cimc targets my_machine.yaml", "cimc targets hermes14 --json"
    ),
)
@click.argument("name", required=False)
@options.as_json
def command(name: str | None, as_json: bool) -> None:
    """List the presets, or show every figure of one target (NAME: a preset or a YAML file)."""
    from cimc.cli import output
    from cimc.target.describe import summary
    from cimc.target.loader import load_target, preset_names

    if name is None:
        all_of = [load_target(preset) for preset in preset_names()]
        output.result({"targets": [summary(target) for target in all_of]}, _list(all_of), as_json)
        return
    target = load_target(name)
    output.result({"target": _payload(target)}, _show(target), as_json)


def _payload(target: Target) -> dict[str, Any]:
    from cimc.target.describe import rows, summary

    return {**summary(target), "fields": [row._asdict() for row in rows(target)]}


def _list(targets: list[Target]) -> list[Block]:
    from cimc.report.blocks import table
    from cimc.report.units import count
    from cimc.target.describe import summary

    columns = (
        *("name", "array", ">cell levels", ">DAC b", ">ADC b", ">tiles", ">arrays"),
        *(">8-bit weights", ">mm2", ">assumed", "title"),
    )
    keys = ("name", "array", "cell_levels", "dac_bits", "adc_bits", "tiles", "arrays")
    rows = []
    for target in targets:
        s = summary(target)
        assumed = f"{s['assumed']} of {s['figures']}"
        shown = (count(s["weights_8b"]), f"{s['area_mm2']:.1f}", assumed, s["title"])
        rows.append((*(s[key] for key in keys), *shown))
    return [table("Targets", columns, rows)]


def _show(target: Target) -> list[Block]:
    from cimc.report.blocks import facts, table
    from cimc.target.describe import rows, summary

    return [
        facts(target.title, [(key, value) for key, value in summary(target).items() if key != "title"]),
        table(
            "Every figure",
            ("field", ">value", "unit", "basis", "source"),
            ((row.path, _number(row.value), row.unit, row.basis, row.source) for row in rows(target)),
        ),
    ]


def _number(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
