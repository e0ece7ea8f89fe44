"""Device descriptions: presets, files, and what is wrong with a bad one."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from cimc.errors import DeviceError
from cimc.sim.devices.model.device_table import rows, summary
from cimc.sim.devices.model.load_device import device_names, load_device, parse_device
from cimc.target import preset_names
from tools.docs.device_tables import updated

TEXT = (resources.files("cimc.sim.devices") / "presets" / "wan2022.yaml").read_text(encoding="utf-8")


def test_the_page_shows_the_presets() -> None:
    page = (Path(__file__).parents[4] / "docs" / "devices.md").read_text(encoding="utf-8")
    assert updated(page) == page, "run: python -m tools.docs.device_tables docs/devices.md"


def test_presets() -> None:
    assert device_names() == ("falcone2025", "ideal", "wan2022")


@pytest.mark.parametrize("name", device_names())
def test_every_figure_has_a_source(name: str) -> None:
    device = load_device(name)
    for row in rows(device):
        assert row.source
        assert row.basis in ("measured", "simulated", "derived", "assumed")
    assert device.array
    assert set(device.targets) <= set(preset_names())
    assert summary(device)["figures"] == len(rows(device))


def test_the_constants_of_the_presets() -> None:
    wan, falcone = load_device("wan2022"), load_device("falcone2025")
    assert (float(wan.window.low), float(wan.window.high)) == (1.0, 40.0)
    assert wan.programming.accept is not None
    assert float(wan.programming.accept) == 1.0
    assert wan.programming.converged is not None
    assert float(wan.programming.converged) == 0.99
    assert (float(wan.stuck.low), float(wan.stuck.high)) == (0.001, 0.001)
    assert float(falcone.programming.sigma_per_g) == 0.01129


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT.replace("name: wan2022", "name: mine"), encoding="utf-8")
    device = load_device(path)
    assert device.name == "mine"
    assert device.digest != load_device("wan2022").digest


BAD = {
    "unknown key": (TEXT + "colour: red\n", "device.invalid", "colour"),
    "missing": (TEXT.replace("stuck:", "struck:"), "device.invalid", "stuck (line 1): is missing"),
    "unit": (TEXT.replace("unit: uS\n", "unit: mS\n", 1), "device.invalid", "must be given in uS, not in mS"),
    "order": (TEXT.replace("value: 1.0\n", "value: 41.0\n", 1), "device.invalid", "low must be below high"),
    "share": (TEXT.replace("value: 0.001", "value: 1.5", 1), "device.invalid", "must be at most 1"),
    "ages": (TEXT.replace("value: 172800.0", "value: 5.0"), "device.invalid", "ages must increase"),
    "kind": (TEXT.replace("kind: curves", "kind: curvy"), "device.invalid", "curvy"),
    "levels": (TEXT.replace("value: linear", "value: log"), "device.invalid", "must be one of linear"),
    "version": (TEXT.replace("format_version: 1", "format_version: 2"), "device.invalid", "format_version"),
    "band": (
        TEXT.replace("    value: 0.0\n    unit: uS/uS", "    value: 0.1\n    unit: uS/uS"),
        "device.invalid",
        "sigma_per_g must be 0",
    ),
    "yaml": ("a: [1\n", "device.syntax", ""),
    "alias": ("a: &x 1\nb: *x\n", "device.syntax", "not allowed"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_description_is_refused(name: str) -> None:
    text, code, said = BAD[name]
    assert text != TEXT
    with pytest.raises(DeviceError) as error:
        parse_device(text, "mine.yaml")
    assert error.value.code == code
    assert said in error.value.message
    assert error.value.hint


def test_unknown_devices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="did you mean wan2022") as error:
        load_device("wan2020")
    assert error.value.code == "device.unknown"
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(DeviceError) as error:
            load_device(path)
        assert error.value.code == "device.unknown"
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DeviceError) as error:
        load_device(binary)
    assert error.value.code == "device.syntax"
