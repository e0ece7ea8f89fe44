"""Arrays in blocks, files of arrays as a stream, memory maps that give their pages back."""

from __future__ import annotations

import io
import mmap
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cimc.errors import CimcError, PassError
from cimc.ir.tensor_store import TensorStore, digest_of
from cimc.support.io.files import atomic_file
from cimc.support.io.generated import GeneratedArray, Spread
from cimc.support.io.streaming import blocks, release
from cimc.support.io.tensorfile import map_tensors, write_tensors

DTYPES = (
    "bool", "uint8", "int8", "int16", "uint16", "float16", "int32", "uint32", "float32", "complex64",
    "float64", "int64", "uint64",
)  # fmt: skip


def mapped(path: Path, array: np.ndarray) -> np.ndarray:
    """The array, by way of a file."""
    array.tofile(path)
    with path.open("rb") as file:
        raw = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(raw, array.dtype).reshape(array.shape)


@given(st.integers(0, 40), st.integers(1, 5), st.integers(1, 200))
def test_blocks_cover_an_array_in_order(rows: int, cols: int, block_bytes: int) -> None:
    array = np.arange(rows * cols, dtype=np.int32).reshape(rows, cols)
    parts = list(blocks(array, block_bytes))
    assert [start for start, _ in parts] == [sum(len(p) for _, p in parts[:i]) for i in range(len(parts))]
    assert np.array_equal(np.concatenate([array[:0], *(p for _, p in parts)]), array)
    assert all(p.nbytes <= max(block_bytes, 4 * cols) for _, p in parts)


def resident(array: np.ndarray) -> int:
    """Kilobytes of the mapping behind ``array`` that are in memory, from the kernel's list of mappings."""
    at, inside = array.__array_interface__["data"][0], False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if "-" in first:
            low, high = (int(part, 16) for part in first.split("-"))
            inside = low <= at < high
        elif inside and first == "Rss:":
            return int(line.split()[1])
    raise AssertionError("the array is not mapped")


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads /proc")
def test_reading_in_blocks_gives_the_pages_of_a_map_back(tmp_path: Path) -> None:
    whole = np.arange(3 << 20, dtype=np.int32)
    array = mapped(tmp_path / "a", whole)
    assert int(array.sum(dtype=np.int64)) == int(whole.sum(dtype=np.int64))
    assert resident(array) > 10_000
    assert sum(int(part.sum(dtype=np.int64)) for _, part in blocks(array)) == int(whole.sum(dtype=np.int64))
    assert resident(array) < 100
    assert np.array_equal(array[::1000], whole[::1000])  # pages come back


def test_release_leaves_contents_alone(tmp_path: Path) -> None:
    private = np.memmap(tmp_path / "p", np.int32, "w+", shape=(4096,))
    private.flush()
    writable = np.memmap(tmp_path / "p", np.int32, "c", shape=(4096,))
    writable[:] = 7  # lives in memory only
    frozen = writable.view()
    frozen.flags.writeable = False
    for array in (frozen, writable, np.ones(5), np.zeros((0, 3)), mapped(tmp_path / "q", np.full(9999, 3))):
        before = array.copy()
        release(array)
        release(array[1:])
        assert np.array_equal(array, before)


@st.composite
def stores(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Arrays of any dtype and shape under any name that a header can hold."""
    names = st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda n: n != "__metadata__")
    found: dict[str, np.ndarray] = {}
    for name in draw(st.lists(names, max_size=6, unique=True)):
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
        dtype: Any = draw(st.sampled_from([*DTYPES, ml_dtypes.bfloat16]))
        count = int(np.prod(shape, dtype=np.int64))
        found[name] = np.array(np.arange(count) % 2, dtype).reshape(shape)
    return found


@given(stores(), st.none() | st.text(st.characters(codec="utf-8"), max_size=9))
def test_files_are_what_the_library_writes(arrays: dict[str, np.ndarray], text: str | None) -> None:
    metadata = None if text is None else {"about": text}
    stream, seen = io.BytesIO(), []
    write_tensors(stream, arrays, (lambda: metadata) if metadata else None, lambda name, _: seen.append(name))
    assert stream.getvalue() == save(arrays, metadata)
    assert sorted(seen) == sorted(arrays)


@given(stores())
def test_files_are_mapped_as_written(tmp_path_factory: pytest.TempPathFactory, arrays: Any) -> None:
    path = tmp_path_factory.mktemp("map") / "a"
    with path.open("wb") as file:
        write_tensors(file, arrays, lambda: {"a": "b"})
    metadata, found = map_tensors(path)
    assert metadata == {"a": "b"}
    assert list(found) == sorted(arrays)
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
        assert not found[name].flags.writeable


def test_a_table_that_is_made_on_demand_is_never_held(tmp_path: Path) -> None:
    class Counted(GeneratedArray):
        largest = 0

        def rows(self, start: int, stop: int) -> np.ndarray:
            part: np.ndarray = super().rows(start, stop)
            self.largest = max(self.largest, part.nbytes)
            return part

    table = Counted("t", 1, (1 << 17, 64), np.dtype(np.float32), Spread(0.0, 1.0))
    with (tmp_path / "f").open("wb") as file:
        write_tensors(file, {"t": table})  # type: ignore[dict-item]  # stands for an array
    assert table.largest <= 1 << 20
    found = map_tensors(tmp_path / "f")[1]["t"]
    assert np.array_equal(found[::1000], np.asarray(table[np.arange(0, 1 << 17, 1000)]))


def test_tensors_are_found_whatever_their_order(tmp_path: Path) -> None:
    arrays = {"a": np.arange(3, dtype=np.int8), "b": np.arange(2.0), "": np.zeros((2, 0)), "c": np.array(7)}
    (tmp_path / "f").write_bytes(save(arrays))  # lays tensors out by dtype, the widest first
    for name, found in map_tensors(tmp_path / "f")[1].items():
        assert (found.dtype, found.shape) == (arrays[name].dtype, arrays[name].shape)
        assert np.array_equal(found, arrays[name])


def test_metadata_may_follow_from_the_contents(tmp_path: Path) -> None:
    seen = {"a": "0000000000000000"}
    with (tmp_path / "f").open("wb") as file:
        write_tensors(
            file, {"a": np.arange(9)}, lambda: dict(seen), lambda n, a: seen.update({n: digest_of(a)})
        )
    assert map_tensors(tmp_path / "f")[0] == {"a": digest_of(np.arange(9))}
    with (tmp_path / "f").open("wb") as file, pytest.raises(ValueError, match="changed its size"):
        write_tensors(file, {"a": np.arange(9)}, lambda: dict(seen), lambda n, a: seen.update({n: "short"}))


def test_strides_and_byte_order_do_not_show() -> None:
    array = np.arange(24, dtype=np.int32).reshape(4, 6)
    stream = io.BytesIO()
    write_tensors(stream, {"a": array.T, "b": array[:, ::2], "c": array.astype(">i4")})
    found = load(stream.getvalue())
    assert np.array_equal(found["a"], array.T)
    assert np.array_equal(found["b"], array[:, ::2])
    assert np.array_equal(found["c"], array)


@pytest.mark.parametrize("cut", [0, 4, 20, -1])
def test_damaged_files_are_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(save({"a": np.arange(9)})[:cut])
    with pytest.raises(SafetensorError):
        map_tensors(path)
    with pytest.raises(PassError) as error:
        TensorStore.load(path)
    assert error.value.code == "ir.bad-store"


def test_dtypes_without_a_code_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        write_tensors(io.BytesIO(), {"a": np.array(["text"])})


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_file(path) as file:
        file.write(b"new"[: 1 // 0])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(CimcError) as error, atomic_file(tmp_path / "no" / "a"):
        pass
    assert error.value.code == "io.cannot-write"


def test_digest_of_a_map_is_that_of_the_array(tmp_path: Path) -> None:
    array = np.arange(2 << 20, dtype=np.int16).reshape(-1, 8)
    assert digest_of(mapped(tmp_path / "a", array)) == digest_of(array) == digest_of(array.T.copy().T)
    assert digest_of(array) != digest_of(array.view(np.uint16))
    assert digest_of(np.zeros(())) != digest_of(np.zeros(1))
