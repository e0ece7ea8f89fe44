"""safetensors files, written as a stream and read as a memory map.

The library of that name reads and judges every header.  What it cannot do, measured with version 0.8 on a
table of 2 GB, is done here:

* Write what is not in memory.  It takes addresses of whole buffers: a table made on demand must be held
  (2.1 GB; 36 MB here), and the pages of a mapped one stay resident (2.1 GB; 40 MB here).
* Put the digest of what was written into the header: it writes the header first.
* Write several texts of a header in one order: it has them in a different one in every process.
* Give an array that is the file: it reads each tensor into memory, twice at times (4.2 GB).

The format is simple: the length of the header as a 64-bit number, the header as JSON, the bytes of all
tensors.  Files are byte for byte what the library writes.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cimc.support.io.claims import reading
from cimc.support.io.streaming import blocks

Array = NDArray[Any]

# in the library's order, in which tensors are laid out from last to first
_CODES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "float16": "F16",
    "bfloat16": "BF16", "int32": "I32", "uint32": "U32", "float32": "F32", "complex64": "C64",
    "float64": "F64", "int64": "I64", "uint64": "U64",
}  # fmt: skip
_RANK = {name: rank for rank, name in enumerate(_CODES)}
_DTYPES = {code: name for name, code in _CODES.items()}


def write_tensors(
    file: BinaryIO,
    arrays: Mapping[str, Array],
    metadata: Callable[[], dict[str, str]] | None = None,
    watch: Callable[[str, Array], None] | None = None,
) -> None:
    """Write a safetensors file at the start of ``file``, which must be seekable.

    Args:
        file: open for binary writing.
        arrays: by name; written in blocks, so a memory-mapped one is never resident whole.
        metadata: gives the texts of the header; called before and after the tensors were written, and must
            give texts of the same sizes.  With several entries their order is that of the mapping.
        watch: called with every array, in order of writing, as soon as it is written.

    Raises:
        ValueError: for a dtype that the format does not have.
    """
    for name, array in arrays.items():
        if array.dtype.name not in _CODES:
            raise ValueError(f"{name}: a safetensors file cannot hold {array.dtype.name}")
    order = sorted(arrays, key=lambda name: (-_RANK[arrays[name].dtype.name], name.encode()))
    first = _header(arrays, order, metadata() if metadata else {})
    file.write(first)
    for name in order:
        array = arrays[name]
        for part in _contiguous(array):
            file.write(part)
        if watch is not None:
            watch(name, array)
    if metadata is not None:
        final = _header(arrays, order, metadata())
        if len(final) != len(first):
            raise ValueError("the metadata changed its size while the tensors were written")
        file.seek(0)
        file.write(final)
        file.seek(0, os.SEEK_END)


def _contiguous(array: Array) -> Iterable[memoryview]:
    little = array.dtype.newbyteorder("<")
    for _, part in blocks(array.reshape(1) if array.ndim == 0 else array):
        whole = np.ascontiguousarray(part, little)
        if whole.size:
            yield whole.reshape(-1).view(np.uint8).data


def _header(arrays: Mapping[str, Array], order: list[str], metadata: dict[str, str]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name in order:
        array = arrays[name]
        code = _CODES[array.dtype.name]
        entries[name] = {
            "dtype": code, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]
        }  # fmt: skip
        at += array.nbytes
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def map_tensors(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """Metadata and tensors of a safetensors file, by name in order; tensors are read-only memory maps.

    Raises:
        OSError: when the file cannot be read.
        safetensors.SafetensorError: when it is no such file.
        ValueError: when it holds a type that numpy does not know.
    """
    from safetensors import safe_open

    reading(path, "the arrays")
    with path.open("rb") as file, safe_open(path, "np") as checked:
        metadata = dict(checked.metadata() or {})
        slices = {name: checked.get_slice(name) for name in checked.offset_keys()}
        types = {name: (_dtype(s.get_dtype()), tuple(s.get_shape())) for name, s in slices.items()}
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    # the library has checked that tensors follow each other without a gap up to the end of the file
    sizes = {name: math.prod(shape) * dtype.itemsize for name, (dtype, shape) in types.items()}
    at = len(mapped) - sum(sizes.values())
    raw = np.frombuffer(mapped, np.uint8)
    arrays: dict[str, Array] = {}
    for name, (dtype, shape) in types.items():
        arrays[name] = raw[at : at + sizes[name]].view(dtype).reshape(shape)
        at += sizes[name]
    return metadata, dict(sorted(arrays.items()))


def _dtype(code: str) -> np.dtype[Any]:
    name: Any = _DTYPES.get(code)
    if name is None:
        raise ValueError(f"element type {code} is not known")
    if name == "bfloat16":
        import ml_dtypes

        name = ml_dtypes.bfloat16
    found: np.dtype[Any] = np.dtype(name)
    return found
