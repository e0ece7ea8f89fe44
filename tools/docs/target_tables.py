"""Keep the generated tables of ``docs/targets.md`` in step with the code.

``python -m tools.docs.target_tables docs/targets.md`` rewrites them; a test compares.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from cimc.target import constants_table
from cimc.target.load_target import DEFAULT_TARGET, load_target, preset_names

_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(header: Iterable[str], body: Iterable[Iterable[object]]) -> str:
    head = list(header)
    lines = [head, ["---"] * len(head), *([str(cell).replace("|", "\\|") for cell in row] for row in body)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _fields() -> str:
    fields = constants_table.schema(load_target(DEFAULT_TARGET))
    return _table(("field", "kind", "meaning"), ((f"`{f.path}`", f.kind, f.meaning) for f in fields))


_PRESET_COLUMNS = (
    ("array (rows x columns)", "array"),
    ("encoding", "encoding"),
    ("levels per device", "cell_levels"),
    ("input bits per phase", "dac_bits"),
    ("ADC bits", "adc_bits"),
    ("columns per step", "columns_per_step"),
    ("step, ns", "step_ns"),
    ("full step, pJ", "full_step_pj"),
    ("slices of an 8-bit weight", "slices_8b"),
    ("largest 8-bit weight", "max_weight_8b"),
    ("arrays", "arrays"),
    ("tiles", "tiles"),
    ("chips", "chips"),
    ("8-bit weights held", "weights_8b"),
    ("area, mm2", "area_mm2"),
    ("figures that are assumed", "assumed"),
    ("figures in all", "figures"),
)


def _presets() -> str:
    summaries = [constants_table.summary(load_target(name)) for name in preset_names()]
    header = ["", *(f"`{name}`" for name in preset_names())]
    return _table(header, ([label, *(_shown(s[key]) for s in summaries)] for label, key in _PRESET_COLUMNS))


def _constants() -> str:
    parts = []
    for name in preset_names():
        body = (
            (f"`{r.path}`", _shown(r.value), r.unit, r.basis, r.source)
            for r in constants_table.rows(load_target(name))
        )
        parts.append(f"### {name}\n\n" + _table(("field", "value", "unit", "basis", "source"), body))
    return "\n".join(parts)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


_TABLES: dict[str, Callable[[], str]] = {"fields": _fields, "presets": _presets, "constants": _constants}


def regenerate(text: str) -> str:
    """Return ``text`` with every generated block replaced by its current content."""
    return _BLOCK.sub(lambda block: f"{block[1]}{_TABLES[block[2]]()}{block[3]}", text)


def main() -> None:
    """Rewrite the file named on the command line."""
    path = Path(sys.argv[1])
    path.write_text(regenerate(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
