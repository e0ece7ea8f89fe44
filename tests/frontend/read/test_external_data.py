"""Weights beside the model: bytes, and everything that must not be opened."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from cimc.errors import ModelError
from cimc.frontend.read.external_data import ExternalFiles
from cimc.support.limits import Limits
from tests.frontend.read.test_load_model import external


def files(folder: Path, **limits: int) -> ExternalFiles:
    return ExternalFiles(folder / "model.onnx", Limits(**limits))  # type: ignore[arg-type]


def refused(folder: Path, tensor: TensorProto, size: int = 4) -> str:
    with pytest.raises(ModelError) as caught:
        files(folder).read(tensor, size)
    assert caught.value.location is not None
    assert caught.value.location.tensor == "w"
    return caught.value.code.removeprefix("frontend.external-data-")


def test_bytes_are_read_only_views_of_one_map(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(range(16)))
    found = files(tmp_path)
    first = found.read(external("w.bin", [1], offset=4), 4)
    second = found.read(external("w.bin", [2], offset=8, length=8), 8)
    assert first.tolist() == [4, 5, 6, 7]
    assert second.tolist() == list(range(8, 16))
    assert not first.flags.writeable
    assert np.shares_memory(first.base, second.base)


def test_an_empty_file_has_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"")
    assert files(tmp_path).read(external("w.bin", [0]), 0).size == 0
    assert refused(tmp_path, external("w.bin", [1])) == "range"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../w.bin", "a/../../w.bin", "C:\\w.bin", "\\\\host\\w", "..\\w", "", "."]
)
def test_paths_out_of_the_folder(tmp_path: Path, path: str) -> None:
    assert refused(tmp_path, external(path, [1])) == "escape"


def test_links_lead_anywhere(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "w.bin").write_bytes(bytes(4))
    (inside / "soft").symlink_to(outside / "w.bin")
    (inside / "folder").symlink_to(outside)
    os.link(outside / "w.bin", inside / "hard")
    for path in ("soft", "folder/w.bin", "hard"):
        assert refused(inside, external(path, [1])) == "escape"


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path, external("none", [1])) == "missing"
    assert refused(tmp_path, external("sub", [1])) == "missing"
    assert refused(tmp_path, external("pipe", [1])) == "missing"
    assert refused(tmp_path, external("sub/none/w", [1])) == "missing"


@pytest.mark.parametrize(
    "entries",
    [
        {"offset": -1},
        {"offset": "1e3"},
        {"offset": "9" * 30},
        {"offset": 13},
        {"length": 5},
        {"colour": "red"},
    ],
)
def test_places_that_make_no_sense(tmp_path: Path, entries: dict[str, object]) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    assert refused(tmp_path, external("w.bin", [1], **entries)) == "range"


def test_a_key_given_twice(tmp_path: Path) -> None:
    tensor = external("w.bin", [1])
    tensor.external_data.add(key="location", value="v.bin")
    assert refused(tmp_path, tensor) == "range"


def test_what_onnxruntime_adds_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(4))
    files(tmp_path).read(external("w.bin", [1], checksum="x", prepacked_0="y"), 4)


def test_missing_is_only_what_is_nowhere(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    found = files(tmp_path)
    assert found.is_missing(external("none", [1]), 4)
    assert not found.is_missing(external("w.bin", [1]), 4)
    assert not found.is_missing(external("dangling", [1]), 4)
    with pytest.raises(ModelError):
        found.is_missing(external("../none", [1]), 4)


def test_too_many_files(tmp_path: Path) -> None:
    found = files(tmp_path, external_files=2)
    for name in "abc":
        (tmp_path / name).write_bytes(bytes(4))
    found.read(external("a", [1]), 4)
    found.read(external("b", [1]), 4)
    found.read(external("a", [1]), 4)
    with pytest.raises(ModelError) as caught:
        found.read(external("c", [1]), 4)
    assert caught.value.code == "frontend.too-many-files"


def test_the_digest_is_of_the_bytes_read_each_once(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(range(16)))

    def digest(*ranges: tuple[int, int]) -> str:
        found, out = files(tmp_path), hashlib.sha256()
        for start, stop in ranges:
            found.read(external("w.bin", [1], offset=start), stop - start)
        found.update(out)
        return out.hexdigest()

    assert digest((0, 4), (2, 8)) == digest((4, 8), (0, 5)) == digest((0, 8))
    assert digest((0, 8)) != digest((0, 7)) != digest((8, 15))
