"""No output replaces an input, whatever links it is reached by."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cimc.errors import CimcError
from cimc.support.io.claims import Output, claimed, identity, reading, recording


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_text("model")
    return path


@pytest.mark.parametrize("link", ["same", "symbolic", "hard"])
def test_an_input_that_is_the_output(link: str, model: Path, tmp_path: Path) -> None:
    other = model if link == "same" else tmp_path / "other"
    if link == "symbolic":
        other.symlink_to(model)
    elif link == "hard":
        os.link(model, other)
    with (
        claimed([Output("-o", other)]),
        pytest.raises(CimcError, match="-o would overwrite the model") as error,
    ):
        reading(model, "the model")
    assert error.value.code == "io.same-file"
    reading(model, "the model")  # nothing is claimed any more


def test_a_folder_holds_the_names_that_are_written_there(model: Path, tmp_path: Path) -> None:
    with (
        claimed([Output("--dump", tmp_path, ("*.onnx", "*.mlir"))]),
        pytest.raises(CimcError, match="--dump"),
    ):
        reading(model, "the model")
    with claimed([Output("--dump", tmp_path, ("*.mlir",)), Output("--x", tmp_path / "gone", ("*",))]):
        reading(model, "the model")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Output("-o", Path("a")), Output("--figure", Path("a"))),
        (Output("-o", Path("d/x.svg")), Output("--figures", Path("d"), ("*.svg",))),
        (Output("--figures", Path("d"), ("*.svg",)), Output("-o", Path("d/x.svg"))),
        (Output("--a", Path("d"), ("*.svg",)), Output("--b", Path("d/../d"), ("*.mlir",))),
    ],
)
def test_two_outputs_that_are_one_file(
    one: Output, other: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    with pytest.raises(CimcError, match="write the same file"), claimed([one, other]):
        pass


def test_outputs_apart(tmp_path: Path) -> None:
    outputs = [Output("-o", tmp_path / "a"), Output("-p", tmp_path / "b"), Output("-q", tmp_path, ("c.*",))]
    with claimed(outputs), claimed([Output("-r", tmp_path / "a2")]):
        pass


def test_what_is_read_is_recorded_once(model: Path) -> None:
    with recording() as found:
        reading(model, "the model")
        reading(model, "--calib")
    assert found == {model: "the model"}
    reading(model, "later")
    assert len(found) == 1


def test_identity_is_of_regular_files(model: Path, tmp_path: Path) -> None:
    assert identity(model) is not None
    assert identity(tmp_path) is None
    assert identity(tmp_path / "none") is None
    assert identity(Path("\0")) is None
