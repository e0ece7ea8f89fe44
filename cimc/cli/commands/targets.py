"""``cimc targets``: the machines that come with cimc, with every constant, unit and source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cimc.cli import options
from cimc.cli.path_options import NAMED_OR_READ, Command

if TYPE_CHECKING:
    from cimc.report.blocks import Block
    from cimc.target.host_links import Link
    from cimc.target.spec import Target


@click.command(
    "targets",
    cls=Command,
    short_help="Machines, with every constant and source.",
    epilog=options.examples(
        "cimc targets", "cimc targets isaac32", "cimc targets my_machine.yaml", "cimc targets hermes14 --json"
    ),
)
@click.argument("name", type=NAMED_OR_READ, required=False)
@options.as_json
def command(name: str | None, as_json: bool) -> None:
    """List the presets and links, or show every figure of one target (NAME: a preset or a YAML file)."""
    from cimc.cli import constants_listing, output
    from cimc.target.constants_table import rows, summary
    from cimc.target.host_links import LINKS
    from cimc.target.load_target import TARGETS, load_target, preset_names

    if name is None:
        others = TARGETS.at_rest()  # a list imports nothing
        all_of = [load_target(preset) for preset in preset_names() if preset not in others]
        links = [LINKS[each] for each in LINKS]
        payload = {
            "targets": [summary(target) for target in all_of],
            "links": [link.model_dump(mode="json") for link in links],
        }
        output.result(payload, [*_list(all_of), _links(links)], as_json)
        output.notes([f"installed plug-ins bring {n} (of {TARGETS.origin(n)})" for n in others])
        return
    target = load_target(name)
    headlines = summary(target)
    shown = [(key, value) for key, value in headlines.items() if key != "title"]
    output.result(
        {"target": constants_listing.payload(headlines, rows(target))},
        constants_listing.blocks(target.title, shown, rows(target)),
        as_json,
    )


def _list(targets: list[Target]) -> list[Block]:
    from cimc.report.blocks import table
    from cimc.support.quantities import count
    from cimc.target.constants_table import summary

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


def _links(links: list[Link]) -> Block:
    from cimc.report.blocks import table

    rows = [
        (
            link.name,
            *(
                f"{float(figure):g}"
                for figure in (link.gbps, link.static_mw, link.pj_per_bit, link.latency_ns)
            ),
            link.title,
        )
        for link in links
    ]
    columns = ("name", ">Gb/s", ">mW static", ">pJ/b beyond", ">ns", "title")
    return table("Links to the host: --target 'tsinghua28{link=NAME}'", columns, rows)
