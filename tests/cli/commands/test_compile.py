"""``cimc compile``: options that mean nothing together are refused before the work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands.small_files import refused, write_model, write_requests


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--weights", "generated:0", "--check-each"), "cli.usage"),
        (("--select", "y", "--check-each"), "cli.usage"),
        (("--pipeline", "quantize,nosuch"), "pass.unknown"),
        (("--pipeline", "shard{colour=red}"), "pass.bad-option"),
        (("--target", "nosuch"), "target.unknown"),
        (("--seed", "-1"), "cli.usage"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: tuple[str, ...], code: str) -> None:
    path = tmp_path / "p.cimc"
    assert refused("compile", write_model(tmp_path), "-o", path, *options) == code
    assert not path.exists()


def test_the_model_is_no_place_for_the_program(tmp_path: Path) -> None:
    path = write_model(tmp_path)
    before = path.read_bytes()
    assert refused("compile", path, "-o", path) == "io.same-file"
    assert path.read_bytes() == before


def test_calibration_requests_are_of_the_model(tmp_path: Path) -> None:
    calib = write_requests(tmp_path, z=np.zeros((3, 4), np.float32))
    code = refused("compile", write_model(tmp_path), "-o", tmp_path / "p.cimc", "--calib", calib)
    assert code == "request.missing-input"
