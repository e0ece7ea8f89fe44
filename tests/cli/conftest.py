"""A tiny model, compiled once for all tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.tiny_files import Tiny, call, write_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def program(tiny: Tiny) -> Path:
    path = tiny.folder / "tiny.cimc"
    done = call("compile", tiny.model, "-o", path, "--calib", tiny.calib)
    assert done.code == 0, done.err
    return path
