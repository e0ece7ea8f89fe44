"""Keep the generated tables of ``docs/devices.md`` in step with the presets.

``python -m tools.docs.device_tables docs/devices.md`` rewrites them; a test compares.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cimc.sim.devices.model.device_table import rows
from cimc.sim.devices.model.load_device import device_names, load_device

_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _preset(name: str) -> str:
    device = load_device(name)
    lines = [f"**{device.title}.** {device.description.strip()} Measured on: {device.array}.", ""]
    lines += ["| field | value | unit | basis | source |", "|---|---|---|---|---|"]
    for row in rows(device):
        value = f"{row.value:g}" if isinstance(row.value, float) else row.value
        lines.append(f"| `{row.path}` | {value} | {row.unit} | {row.basis} | {row.source} |")
    return "\n".join(lines) + "\n"


def updated(text: str) -> str:
    """``text`` with every generated block made anew.  Raises ``ValueError`` if a preset has none."""
    missing = set(device_names()) - {found.group(2) for found in _BLOCK.finditer(text)}
    if missing:
        raise ValueError(f"no generated block for {', '.join(sorted(missing))}")
    return _BLOCK.sub(lambda found: found.group(1) + _preset(found.group(2)) + found.group(3), text)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        path = Path(argument)
        path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")
