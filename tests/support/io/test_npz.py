"""Archives of arrays: whole, in blocks and back; what a file says of itself is not believed."""

from __future__ import annotations

import ast
import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cimc.errors import RequestError
from cimc.support.io.npz import Npz, write_npz
from cimc.workload.request_file import load_requests, save_arrays
from tests.tested import trees

ARRAYS = {
    "x": np.arange(24, dtype=np.float32).reshape(4, 6),
    "ids": np.arange(10),
    "one": np.array(3, np.int8),
    "none": np.zeros((0, 5), np.uint16),
    "flags": np.array([True, False]),
    "words": np.array(["a", "bcd"]),
}


OTHER_WAYS = {"zipfile", "np.load", "np.save", "np.savez", "np.savez_compressed", "np.lib.format"}


def npy(shape: str, dtype: str = "'<f4'", order: str = "False") -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return path


def same(found: np.ndarray, array: np.ndarray) -> bool:
    return (found.dtype, found.shape) == (array.dtype, array.shape) and np.array_equal(found, array)


def test_arrays_come_back_as_written(tmp_path: Path) -> None:
    save_arrays(ARRAYS, tmp_path / "a.npz")
    found = load_requests(tmp_path / "a.npz")
    assert list(found) == list(ARRAYS)
    assert all(same(found[name], array) for name, array in ARRAYS.items())
    with np.load(tmp_path / "a.npz") as file:
        assert all(same(file[name], array) for name, array in ARRAYS.items())
    stream = io.BytesIO()
    write_npz(stream, ARRAYS)
    assert stream.getvalue() == (tmp_path / "a.npz").read_bytes()


def test_order_and_byte_order_do_not_show(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    np.savez(tmp_path / "a.npz", fortran=np.asfortranarray(array), swapped=array.astype(">i4"))
    for found in load_requests(tmp_path / "a.npz").values():
        assert same(found, array)
        assert found.flags.c_contiguous
        assert found.dtype.isnative


def test_blocks_are_the_whole_in_order(tmp_path: Path) -> None:
    save_arrays(ARRAYS, tmp_path / "a.npz")
    with Npz(tmp_path / "a.npz") as file:
        assert set(file.members) == set(ARRAYS) - {"words"}  # text is left out unless it is asked for
        parts = []
        with file.stream("x") as stream:
            while stream.left:
                parts.append(stream.take(7))
        assert [len(p) for p in parts] == [7, 7, 7, 3]
        assert np.array_equal(np.concatenate(parts), ARRAYS["x"].ravel())


def test_one_limit_for_all(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", x=npy("(1048576,)", "'|u1'") + bytes(1 << 20))
    assert path.stat().st_size < 1 << 12
    for limit in (1 << 20, 0):
        with pytest.raises(RequestError) as caught:
            Npz(path, limit)
        assert caught.value.code == "request.too-large"
    with Npz(path, (1 << 20) + 200) as file:
        assert file.read("x").size == 1 << 20


def test_headers_are_short_whatever_the_length_they_state(tmp_path: Path) -> None:
    long = b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 26) + b" " * (1 << 26)
    path = archive(tmp_path / "a.npz", x=long)
    tracemalloc.start()
    try:
        with pytest.raises(RequestError) as caught:
            Npz(path)  # in blocks, without a limit
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code == "request.bad-array"
    assert peak < 1 << 22


@pytest.mark.parametrize("shape", ["(0, 1180591620717411303424)", "(0, 1099511627776, 1099511627776)"])
def test_shapes_that_cannot_be_made(tmp_path: Path, shape: str) -> None:
    path = archive(tmp_path / "a.npz", x=npy(shape))
    with Npz(path) as file, pytest.raises(RequestError) as caught:
        file.read("x")
    assert caught.value.code == "request.bad-array"


def test_damage_is_found_by_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(50_000))
    data = bytearray(path.read_bytes())
    data[200_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(RequestError) as caught:
        load_requests(path)
    assert caught.value.code == "request.not-npz"
    with Npz(path) as file, file.stream("x") as stream, pytest.raises(RequestError) as caught:
        list(iter(lambda: stream.take(10_000).size, 0))
    assert caught.value.code == "request.not-npz"


def test_nobody_else_reads_or_writes_such_files() -> None:
    found = set()
    for module, tree in trees().items():
        for node in ast.walk(tree):
            named = isinstance(node, ast.Attribute) and node.attr in (
                "load",
                "save",
                "savez",
                "savez_compressed",
                "format",
            )
            names = [ast.unparse(node)] if named else []
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [*(a.name for a in node.names), getattr(node, "module", None) or ""]
            if {"zipfile", "np.load", "np.save", "np.savez", "np.savez_compressed", "np.lib.format"} & set(
                names
            ):
                found.add(module)
    assert found == {"cimc.support.io.npz"}
