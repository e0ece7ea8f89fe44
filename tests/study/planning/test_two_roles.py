"""What a request takes of a chip with a dense part, and of one that holds rows for others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cimc.study.planning.spread import Spread, decide, items_of
from cimc.study.planning.two_roles import Homes, Roles, roles
from cimc.target.load_target import load_target
from tests.study.planning.small_model import small

ONE = load_target("tsinghua28")
MODEL = small(400_000)


@pytest.fixture(scope="module")
def spread() -> Spread:
    found = decide(items_of(MODEL, ONE), 4, 1e3, 32.0, 2, ONE)
    assert found is not None
    return replace(found, homes=1, each=1, near=(100, 2, 1))


@pytest.fixture(scope="module")
def found(spread: Spread) -> Roles:
    return roles(MODEL, spread, ONE, 0, Homes())


def test_far_rows_are_asked_for_over_links(found: Roles, spread: Spread) -> None:
    assert found.crossing_bits > 0
    nothing = roles(MODEL, replace(spread, near=(782, 2, 1)), ONE, 0, Homes())
    assert nothing.crossing_bits == 0
    assert nothing.latency_ns < found.latency_ns


def test_units_are_shared_by_all_homes_and_owners(found: Roles) -> None:
    alone, many = found.busy(1, 1), found.busy(3, 6)
    assert list(alone.values()) == sorted(alone.values(), reverse=True)
    for unit, ns in many.items():
        assert ns == pytest.approx(found.home.get(unit, 0.0) / 3 + found.owner.get(unit, 0.0) / 6)


def test_a_program_is_compiled_once_for_machines_of_one_structure(
    spread: Spread, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cimc.study.planning.two_roles as module

    made: list[object] = []
    real = module.compiled
    monkeypatch.setattr(module, "compiled", lambda *given: made.append(given) or real(*given))
    homes = Homes()
    one, two = (roles(MODEL, replace(spread, chips=chips), ONE, 0, homes) for chips in (2, 5))
    assert len(made) == 1
    assert one.dense_arrays == two.dense_arrays
