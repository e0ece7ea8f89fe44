"""What figures include stands in ``docs/cost.md``, word for word."""

from __future__ import annotations

from pathlib import Path

from cimc.cost.energy import COMPONENTS
from cimc.cost.estimate import includes
from cimc.cost.static_power import PARTS

PAGE = (Path(__file__).parents[2] / "docs" / "cost.md").read_text()


def test_every_figure_is_on_the_page() -> None:
    for figure, text in includes(0).items():
        assert f"`{figure}` | {text} |" in PAGE, figure


def test_every_component_is_on_the_page() -> None:
    for component in COMPONENTS:
        assert f"| {component.name} | {component.includes} |" in PAGE, component.name
    for name, _, _, text in PARTS:
        assert f"| {name} | {text} |" in PAGE, name
