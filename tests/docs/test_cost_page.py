"""``docs/cost.md`` names what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cimc.cost import COMPONENTS, EVENTS, NOT_MODELLED
from cimc.isa.link_widths import HEADER_BITS

TEXT = (Path(__file__).parents[2] / "docs" / "cost.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("event", [e for e in EVENTS if not e.startswith("vector.ops.")])
def test_every_event_is_explained(event):
    assert f"`{event}`" in TEXT


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)
def test_every_component_has_its_formula(component):
    energy = TEXT[TEXT.index("## Energy") : TEXT.index("## Time")]
    row = next(line for line in energy.splitlines() if line.startswith(f"| {component.name} |"))
    assert f"`{component.constant}`" in row
    for event, factor in component.terms:
        assert (f"{factor:g} x `{event}`" if factor != 1 else f"`{event}`") in row


def test_what_is_not_modelled_is_listed():
    listed = TEXT[TEXT.index("**Not modelled**") : TEXT.index("## Time")]
    for name in NOT_MODELLED:
        for word in re.findall(r"\w{4,}", name):
            assert word.lower() in listed.lower()


def test_the_header_is_stated():
    assert f"| header of every message, on the mesh and on the host link | {HEADER_BITS} bits |" in TEXT


def test_errors_are_listed():
    source = "".join(p.read_text() for p in (Path(__file__).parents[2] / "cimc" / "cost").glob("*.py"))
    for code in set(re.findall(r'"(cost\.[a-z-]+)"', source)):
        assert f"`{code}`" in TEXT
