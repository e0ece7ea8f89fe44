"""Text that a user gives."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cimc.cli.textfiles import read_text
from cimc.errors import CimcError


def refused(path: Path) -> CimcError:
    with pytest.raises(CimcError) as caught:
        read_text(path)
    assert caught.value.code == "io.cannot-read"
    return caught.value


def test_a_file_is_utf8(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("größe\r\n".encode())
    assert read_text(tmp_path / "a") == "größe\r\n"


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("é".encode()), encoding="ascii"))
    assert read_text(Path("-")) == "é"


def test_standard_input_may_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert "standard input is closed" in refused(Path("-")).message


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none").message
    assert "directory" in refused(tmp_path).message
    (tmp_path / "b").write_bytes(b"ok\xff")
    error = refused(tmp_path / "b")
    assert "byte 2" in error.message
    assert str(tmp_path / "b") in str(error)
