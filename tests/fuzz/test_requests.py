"""Request files that were not written by numpy: bombs, lies, pickles, damage."""

from __future__ import annotations

import io
import pickle
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cimc.errors import RequestError
from cimc.workload.request_file import load_requests


def header(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    data = text.encode()
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(data)) + data


def plain(dtype: str, shape: str, order: str = "False") -> bytes:
    return header(f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}}}\n")


HEADERS = {
    "object": plain("'|O'", "(2,)") + pickle.dumps([print, len]),
    "object without data": plain("'|O'", "(0,)"),
    "record": plain("[('a', '<f4'), ('b', '<i4')]", "(1,)") + bytes(8),
    "record of objects": plain("[('a', '|O')]", "(1,)") + bytes(8),
    "subarray": plain("('<f4', (2, 2))", "(1,)") + bytes(16),
    "void": plain("'|V8'", "(1,)") + bytes(8),
    "date": plain("'<M8[s]'", "(1,)") + bytes(8),
    "bytes": plain("'|S4'", "(1,)") + bytes(4),
    "no such type": plain("'<f3'", "(1,)") + bytes(4),
    "a type that is code": plain("__import__('os')", "(1,)"),
    "more elements than bytes": plain("'<f4'", "(1000000000000,)") + bytes(4),
    "fewer elements than bytes": plain("'<f4'", "(1,)") + bytes(400),
    "negative extents": plain("'<f4'", "(-2, -2)") + bytes(16),
    "one negative extent": plain("'<f4'", "(-1,)") + bytes(4),
    "empty, and too large": plain("'<f4'", f"(0, {2**70})"),
    "empty, and its size overflows": plain("'<f4'", f"(0, {2**40}, {2**40})"),
    "hundred dimensions": plain("'<f4'", "(" + "1, " * 100 + ")") + bytes(4),
    "extents that are no numbers": plain("'<f4'", "('a',)") + bytes(4),
    "fractions": plain("'<f4'", "(1.5,)") + bytes(6),
    "no elements of no size": plain("'<U0'", "(3,)"),
    "text beyond unicode": plain("'<U1'", "(1,)") + b"\xff\xff\xff\x7f",
    "long header": header("{" + " " * 20_000 + "}"),
    "header of 4 GiB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    "nested header": header("(" * 9000),
    "header of signs": header("-" * 9000 + "1"),
    "header of lists": header("[" * 90 + "]" * 90),
    "header that is no dict": header("5\n"),
    "header with other keys": header("{'descr': '<f4'}\n"),
    "header that does not end": header("{'descr': '"),
    "header with a line": header("{'descr':\n '<f4'"),
    "header with zero bytes": header("\0" * 50),
    "version 9": header("{}", (9, 0)),
    "no header": b"hello",
    "nothing": b"",
}


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return stream.getvalue()


def refused(tmp_path: Path, data: bytes, **limits: int) -> str:
    path = tmp_path / "requests.npz"
    path.write_bytes(data)
    with pytest.raises(RequestError) as caught:
        load_requests(path, **limits)
    return caught.value.code


@pytest.mark.parametrize("name", HEADERS)
def test_arrays_that_lie(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path, archive({"x.npy": HEADERS[name]})) == "request.bad-array"


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    trap = tmp_path / "trap"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (trap,)  # type: ignore[return-value]

    np.savez(tmp_path / "x.npz", x=np.array([Trap()], dtype=object))
    with pytest.raises(RequestError):
        load_requests(tmp_path / "x.npz")
    assert refused(tmp_path, pickle.dumps(Trap())) == "request.not-npz"
    assert not trap.exists()


def test_bombs(tmp_path: Path) -> None:
    zeros = plain("'|u1'", f"({1 << 26},)") + bytes(1 << 26)
    assert len(archive({"x.npy": zeros})) < 1 << 18
    assert refused(tmp_path, archive({"x.npy": zeros}), max_bytes=1 << 20) == "request.too-large"
    parts = {f"{i}.npy": zeros[: 1 << 19] for i in range(3)}
    assert refused(tmp_path, archive(parts), max_bytes=1 << 20) == "request.too-large"


def test_a_directory_that_understates_sizes(tmp_path: Path) -> None:
    """The bytes beyond the stated size are never produced."""
    zeros = plain("'|u1'", f"({1 << 22},)") + bytes(1 << 22)
    data = bytearray(archive({"x.npy": zeros}))
    for place in (data.find(b"PK\x03\x04") + 22, data.find(b"PK\x01\x02") + 24):
        data[place : place + 4] = struct.pack("<I", 100)
    assert refused(tmp_path, bytes(data), max_bytes=1 << 20) in ("request.not-npz", "request.bad-array")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_compressions_that_numpy_does_not_write(tmp_path: Path, method: int) -> None:
    good = plain("'<f4'", "(1,)") + bytes(4)
    assert refused(tmp_path, archive({"x.npy": good}, method)) == "request.not-npz"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name(tmp_path: Path) -> None:
    good = plain("'<f4'", "(1,)") + bytes(4)
    assert refused(tmp_path, archive({"x.npy": good, "x": good})) == "request.not-npz"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("x.npy", good)
        file.writestr("x.npy", good)
    assert refused(tmp_path, stream.getvalue()) == "request.not-npz"


def test_an_encrypted_archive(tmp_path: Path) -> None:
    data = bytearray(archive({"x.npy": plain("'<f4'", "(1,)") + bytes(4)}))
    for place in (data.find(b"PK\x03\x04") + 6, data.find(b"PK\x01\x02") + 8):
        data[place] |= 1
    assert refused(tmp_path, bytes(data)) == "request.not-npz"


@pytest.mark.filterwarnings("ignore")
def test_damaged_archives_are_refused_or_read(tmp_path: Path) -> None:
    """Flips, cuts and insertions: an error of ours or plain arrays, never anything else."""
    arrays = {"x": np.arange(12, dtype=np.float32), "ids": np.arange(3), "s": np.array(["a", "b"])}
    originals = []
    for save in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        save(stream, **arrays)
        originals.append(stream.getvalue())
    rng, path, read = random.Random(0), tmp_path / "r.npz", 0
    for _ in range(1500):
        data = bytearray(rng.choice(originals))
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(data))
            kind = rng.randrange(4)
            if kind == 0:
                data[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                data[at] = rng.choice((0, 255, 127, 128))
            elif kind == 2:
                del data[at : at + rng.choice((1, 4, 100))]
            else:
                data[at:at] = rng.randbytes(rng.choice((1, 4, 30)))
            if not data:
                break
        path.write_bytes(data)
        try:
            found = load_requests(path, 1 << 20)
        except RequestError:
            continue
        read += 1
        assert all(a.dtype.kind in "biufU" for a in found.values())
    assert 0 < read < 1000
