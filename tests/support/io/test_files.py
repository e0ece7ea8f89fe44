"""Artifacts: permissions, links, names, full disks."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cimc.errors import CimcError
from cimc.support.io.files import abandon, atomic_file, check_folder, check_writable, write_atomically
from cimc.workload.traces import Trace


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_what_the_umask_leaves(tmp_path: Path, mask: int) -> None:
    old = os.umask(mask)
    try:
        write_atomically(tmp_path / "a", "text")
        Trace({}).save(tmp_path / "trace.npz")
    finally:
        os.umask(old)
    assert mode(tmp_path / "a") == mode(tmp_path / "trace.npz") == 0o666 & ~mask


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o600)
    write_atomically(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_written_through_and_stays(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "there").mkdir()
    file, link = tmp_path / "there" / "file", tmp_path / "link"
    if exists:
        file.write_text("old")
    link.symlink_to("there/file")
    check_writable(link)
    write_atomically(link, "new")
    assert (link.is_symlink(), file.is_symlink(), file.read_text()) == (True, False, "new")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "link", "there"]


def test_the_longest_name_and_names_that_are_none(tmp_path: Path) -> None:
    longest = tmp_path / ("n" * 255)
    check_writable(longest)
    write_atomically(longest, "text")
    assert longest.read_text() == "text"
    for path in (tmp_path / ("n" * 256), Path(f"{tmp_path}/a\0b")):
        for act in (check_writable, check_folder, lambda p: write_atomically(p, "text")):
            with pytest.raises(CimcError) as refused:
                act(path)
            assert refused.value.code == "io.cannot-write"


def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def half(then: Callable[[], None]) -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            assert len(list(tmp_path.iterdir())) == 2
            then()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half(interrupt)
    assert ([p.name for p in tmp_path.iterdir()], path.read_text()) == (["a"], "old")
    with pytest.raises(CimcError):  # the file goes away before the block ends
        half(abandon)
    assert ([p.name for p in tmp_path.iterdir()], path.read_text()) == (["a"], "old")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_full_disk(tmp_path: Path) -> None:
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(CimcError) as refused:
            write_atomically(tmp_path / "a", b"x" * 100_000)
        assert refused.value.code == "io.cannot-write"
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "filler").write_bytes(b"x" * (64 << 10))
        with pytest.raises(CimcError) as early:
            check_writable(tmp_path / "a")
        assert "space" in early.value.message
        assert [p.name for p in tmp_path.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_writing_itself_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CimcError) as refused:
        write_atomically(tmp_path / "a", "text")
    assert refused.value.code == "io.cannot-write"
    assert list(tmp_path.iterdir()) == []
