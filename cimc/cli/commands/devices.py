"""``cimc devices``: the memory devices that come with cimc, with every constant, unit and source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cimc.cli import options
from cimc.cli.path_options import NAMED_OR_READ, Command

if TYPE_CHECKING:
    from cimc.report.blocks import Block
    from cimc.sim.devices.model.device import Device


@click.command(
    "devices",
    cls=Command,
    short_help="Memory devices, with every constant and source.",
    epilog=options.examples(
        "cimc devices", "cimc devices wan2022", "cimc devices my_cell.yaml", "cimc devices falcone2025 --json"
    ),
)
@click.argument("name", type=NAMED_OR_READ, required=False)
@options.as_json
def command(name: str | None, as_json: bool) -> None:
    """List the presets, or show every figure of one device (NAME: a preset or a YAML file)."""
    from cimc.cli import constants_listing, output
    from cimc.sim.devices.model.device_table import rows, summary
    from cimc.sim.devices.model.load_device import DEVICES, device_names, load_device

    if name is None:
        others = DEVICES.at_rest()  # a list imports nothing
        all_of = [load_device(preset) for preset in device_names() if preset not in others]
        output.result({"devices": [summary(device) for device in all_of]}, _list(all_of), as_json)
        output.notes([f"installed plug-ins bring {n} (of {DEVICES.origin(n)})" for n in others])
        return
    device = load_device(name)
    headlines = summary(device)
    shown = [(key, _shown(key, value)) for key, value in headlines.items() if key != "title"]
    output.result(
        {"device": constants_listing.payload(headlines, rows(device))},
        constants_listing.blocks(device.title, shown, rows(device)),
        as_json,
    )


def _list(devices: list[Device]) -> list[Block]:
    from cimc.report.blocks import table
    from cimc.sim.devices.model.device_table import summary

    found = []
    for device in devices:
        s = summary(device)
        window = f"{s['low_us']:g} .. {s['high_us']:g}"
        ratio = "infinite" if s["on_off"] is None else f"{s['on_off']:.3g}"
        belongs = ", ".join(s["targets"]) or "none"
        assumed = f"{s['assumed']} of {s['figures']}"
        found.append((s["name"], window, ratio, s["relaxation"], s["read"], belongs, assumed, s["title"]))
    columns = ("name", ">uS", ">on/off", "relaxation", "read noise", "array of target", ">assumed", "title")
    return [table("Devices", columns, found)]


def _shown(key: str, value: Any) -> object:
    if key == "targets":
        return ", ".join(value) or "none of the presets"
    return "infinite" if value is None else value
