"""Power: counters where they can be read, else what is stated, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from cimc.study.baseline import cpu_power
from cimc.study.baseline.cpu_power import WATTS_PER_CORE, RaplPower, meter


def package(root: Path, number: int, name: str, value: int, limit: int = 10_000_000) -> Path:
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    for file, text in (("name", name), ("energy_uj", value), ("max_energy_range_uj", limit)):
        (folder / file).write_text(f"{text}\n")
    return folder


def test_counters_of_packages_add_up_and_wrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = package(tmp_path, 0, "package-0", 1_000_000)
    second = package(tmp_path, 1, "package-1", 9_000_000)
    package(tmp_path, 2, "psys", 0)  # holds the packages: not counted twice
    found, why = meter(None, tmp_path)
    assert isinstance(found, RaplPower)
    assert why is None
    assert found.source == "rapl"
    assert "package-0, package-1" in found.text
    now = [5.0]
    monkeypatch.setattr(cpu_power.time, "perf_counter", lambda: now[0])
    found.start()
    (first / "energy_uj").write_text("4000000\n")
    (second / "energy_uj").write_text("1000000\n")  # 9 -> 10 = 0 -> 1 J
    now[0] = 7.0
    assert found.watts(1) == pytest.approx((3 + 2) / 2)


def test_without_counters_watts_are_stated_and_it_says_so(tmp_path: Path) -> None:
    found, why = meter(None, tmp_path)
    assert found.source == "stated"
    assert why is not None
    assert "no energy counters" in why
    assert found.watts(3) == pytest.approx(3 * WATTS_PER_CORE)
    assert "350 W TDP" in found.text
    assert "not measured" in found.text


def test_counters_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (package(tmp_path, 0, "package-0", 0) / "energy_uj").unlink()
    found, why = meter(None, tmp_path)
    assert found.source == "stated"
    assert why is not None
    assert "cannot be read" in why


def test_what_the_user_states_counts(tmp_path: Path) -> None:
    package(tmp_path, 0, "package-0", 0)
    found, why = meter(7.5, tmp_path)
    assert (found.source, found.watts(2)) == ("stated", 15.0)
    assert why == "watts per core were given"
    assert "by the user" in found.text
