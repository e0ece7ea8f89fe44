"""``cimc run``: options that need one another, and a run of a small program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands.small_files import refused, write_program, write_requests
from tests.cli.tiny_files import call

X = np.linspace(-1, 1, 3 * 640, dtype=np.float32).reshape(3, 640)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--min-sqnr", "30"), "cli.usage"),
        (("--max-error", "0.1"), "cli.usage"),
        (("--mode", "noisy", "--device", "nosuch"), "device.unknown"),
        (("--limit", "0"), "cli.usage"),
        (("--threads", "0"), "cli.usage"),
        (("--age", "nan"), "cli.usage"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: tuple[str, ...], code: str) -> None:
    program, requests = write_program(tmp_path), write_requests(tmp_path, x=X)
    assert refused("run", program, "--inputs", requests, *options) == code


def test_outputs_are_written_and_counted(tmp_path: Path) -> None:
    program, requests = write_program(tmp_path), write_requests(tmp_path, x=X)
    done = call("run", program, "--inputs", requests, "--limit", 2, "--outputs", tmp_path / "o.npz", "--json")
    assert done.code == 0, done.err
    assert done.json["requests"] == 2
    with np.load(tmp_path / "o.npz") as found:
        (name,) = found.files
        np.testing.assert_array_equal(found[name], np.maximum(X[:2], 0))


def test_requests_of_other_inputs_are_refused(tmp_path: Path) -> None:
    program, requests = write_program(tmp_path), write_requests(tmp_path, z=X)
    assert refused("run", program, "--inputs", requests) == "request.missing-input"
