"""``cimc devices``: presets and files of one's own."""

from __future__ import annotations

from pathlib import Path

from cimc.sim.devices.model.load_device import device_names
from tests.cli.commands.small_files import refused
from tests.cli.tiny_files import call


def test_the_list_and_one_of_it_agree() -> None:
    listed = {d["name"]: d for d in call("devices", "--json").json["devices"]}
    assert list(listed) == list(device_names())
    one = call("devices", "wan2022", "--json").json["device"]
    assert one["digest"] == listed["wan2022"]["digest"]


def test_a_file_that_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text("title: 3\n")
    assert refused("devices", tmp_path / "d.yaml").startswith("device.")
