"""``cimc devices``, and ``cimc run --mode noisy``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cimc.sim.devices.model.load_device import device_names
from tests.cli.tiny_files import Tiny, call


def test_devices_lists_every_preset() -> None:
    found = call("devices", "--json").json["devices"]
    assert [d["name"] for d in found] == list(device_names())
    text = call("devices").out
    assert all(name in text for name in device_names())
    assert "neurram130" in text


@pytest.mark.parametrize("name", device_names())
def test_a_device_shows_every_figure_with_unit_and_source(name: str) -> None:
    found = call("devices", name, "--json").json["device"]
    assert {"name", "digest", "array", "targets", "low_us", "high_us", "on_off", "fields"} <= set(found)
    rows = {row["path"]: row for row in found["fields"]}
    assert rows["window.high"]["unit"] == "uS"
    assert all(row["source"] and row["basis"] for row in found["fields"])
    text = call("devices", name).out
    assert all(path in text for path in rows)


def test_an_unknown_device_is_an_error() -> None:
    done = call("devices", "wan2020", "--json")
    assert done.code == 2
    assert done.json["error"]["code"] == "device.unknown"
    assert "wan2022" in done.json["error"]["hint"]


def test_a_noisy_run_is_reproducible_and_says_under_what_conditions(
    tiny: Tiny, program: Path, tmp_path: Path
) -> None:
    outputs = []
    for number, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{number}.npz"
        done = call(
            "run", program, "--inputs", tiny.requests, "--outputs", out, "--mode", "noisy",
            "--device", "wan2022", "--age", 86400, "--seed", seed, "--json",
        )  # fmt: skip
        assert done.code == 0, done.err
        found = done.json["device"]
        assert (found["name"], found["age_seconds"], found["seed"]) == ("wan2022", 86400.0, seed)
        assert any("not measured on tsinghua28" in note for note in found["notes"])
        with np.load(out) as arrays:
            outputs.append({name: arrays[name] for name in arrays.files})
    first, same, other = outputs
    assert all((first[name] == same[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)


def test_the_summary_names_the_device(tiny: Tiny, program: Path) -> None:
    done = call("run", program, "--inputs", tiny.requests, "--mode", "noisy", "--device", "ideal")
    assert done.code == 0, done.err
    assert "mode noisy" in done.out
    assert "device      ideal, 0 s after writing, seed 0" in done.out


def test_ideal_cells_give_the_outputs_of_adc(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    for mode in (["--mode", "adc"], ["--mode", "noisy", "--device", "ideal"]):
        assert (
            call("run", program, "--inputs", tiny.requests, "--outputs", tmp_path / mode[1], *mode).code == 0
        )
    with np.load(tmp_path / "adc") as a, np.load(tmp_path / "noisy") as b:
        assert all((a[name] == b[name]).all() for name in a.files)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--mode", "noisy"], "device.missing"),
        (["--mode", "noisy", "--device", "none"], "device.unknown"),
        (["--mode", "noisy", "--device", "wan2022", "--age", "-1"], "device.age"),
        (["--mode", "noisy", "--device", "wan2022", "--seed", "-1"], "device.seed"),
        (["--device", "wan2022"], "device.needs-noisy"),
        (["--mode", "exact", "--age", "5"], "device.needs-noisy"),
        (["--seed", "5"], "device.needs-noisy"),
    ],
)
def test_conditions_that_do_not_fit(tiny: Tiny, program: Path, options: list[str], code: str) -> None:
    done = call("run", program, "--inputs", tiny.requests, *options, "--json")
    assert done.code == 2
    assert done.json["error"]["code"] == code
