"""Programs as files: one safetensors file with a JSON header, written atomically, digests checked on load."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from cimc.errors import Location, ProgramError
from cimc.ir.tensor_store import digest_of
from cimc.isa.encoding import decode, encode
from cimc.isa.program import (
    FORMAT_VERSION,
    ChipSegment,
    CopyGroup,
    Header,
    HostSegment,
    Matrix,
    Port,
    Program,
)
from cimc.remarks import Remarks
from cimc.support.io.files import atomic_file
from cimc.support.io.generated import GeneratedIntegers, restored
from cimc.support.io.tensorfile import map_tensors, write_tensors

_CODE, _CONSTANTS = "code", "constants"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: the same value always gives the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def describe(program: Program) -> tuple[dict[str, Any], bytes]:
    """Everything but the data arrays: a JSON-able description, and the code of all streams."""
    code = bytearray()
    segments: list[dict[str, Any]] = []
    for segment in program.segments:
        if isinstance(segment, HostSegment):
            segments.append({"host": dataclasses.asdict(segment)})
            continue
        streams = []
        for tile, stream in sorted(segment.streams.items()):
            binary = encode(stream)
            streams.append([tile, len(code), len(binary)])
            code += binary
        segments.append(
            {
                "chip": {
                    "inputs": [dataclasses.asdict(p) for p in segment.inputs],
                    "outputs": [dataclasses.asdict(p) for p in segment.outputs],
                    "streams": streams,
                    "copies": [[list(tiles) for tiles in group.instances] for group in segment.copies],
                    "host_ports": [list(item) for item in sorted(segment.host_ports.items())],
                }
            }
        )
    header = dataclasses.asdict(program.header)
    if not program.header.plugins:  # most programs have none, and say nothing of it
        del header["plugins"]
    description = {
        "header": header,
        "segments": segments,
        "matrices": [dataclasses.asdict(m) for m in program.matrices],
        "facts": program.remarks.to_json(),
        "generated": {name: array.to_json() for name, array in generated(program).items()},
    }
    return description, bytes(code)


def generated(program: Program) -> dict[str, GeneratedIntegers]:
    """Arrays of which the artifact holds the recipe alone."""
    arrays: dict[str, object] = dict(program.data)
    return {name: array for name, array in arrays.items() if isinstance(array, GeneratedIntegers)}


def restore(
    description: dict[str, Any], code: bytes, constants: NDArray[np.uint8], data: dict[str, NDArray[Any]]
) -> Program:
    """The inverse of :func:`describe`.

    Raises:
        KeyError, TypeError, ValueError, AttributeError, ProgramError: for a malformed description.
    """
    header = _build(Header, description["header"])
    segments: list[ChipSegment | HostSegment] = []
    for entry in description["segments"]:
        if "host" in entry:
            segments.append(_build(HostSegment, entry["host"]))
            continue
        chip = entry["chip"]
        if not all(_fits(_tuples(entry), tuple[int, int, int]) for entry in chip["streams"]):
            raise TypeError("a stream is not given by three integers")
        if not all(_fits(_tuples(entry), tuple[int, int]) for entry in chip["host_ports"]):
            raise TypeError("a host port is not given by two integers")
        streams = {t: decode(code[at : at + size]) for t, at, size in chip["streams"]}
        ports = [tuple(_build(Port, p) for p in chip[side]) for side in ("inputs", "outputs")]
        copies = tuple(_build(CopyGroup, {"instances": group}) for group in chip["copies"])
        host_ports = dict(map(tuple, chip["host_ports"]))
        segments.append(ChipSegment(ports[0], ports[1], streams, copies, host_ports))
    matrices = tuple(_build(Matrix, m) for m in description["matrices"])
    if not isinstance(description["facts"], dict):
        raise TypeError("the facts are no object")
    made = {name: restored(recipe) for name, recipe in description["generated"].items()}
    data = {**data, **cast(dict[str, NDArray[Any]], made)}
    remarks = Remarks.from_json(description["facts"])
    return Program(header, tuple(segments), matrices, constants, data, remarks)


def _build(cls: Any, fields: dict[str, Any]) -> Any:
    values = {key: _tuples(value) for key, value in fields.items()}
    for key, hint in _hints(cls).items():
        if key in values and not _fits(values[key], hint):
            raise TypeError(f"{cls.__name__}.{key} has a value of the wrong type")
    return cls(**values)


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from JSON has the type of a field; integers also stay within what numpy takes."""
    inner = get_args(hint)
    if get_origin(hint) is tuple:
        if not isinstance(value, tuple):
            return False
        if inner[1:] == (...,):
            return all(_fits(v, inner[0]) for v in value)
        return len(value) == len(inner) and all(_fits(v, h) for v, h in zip(value, inner, strict=True))
    if inner:
        return any(_fits(value, h) for h in inner)
    if hint is int:
        return type(value) is int and abs(value) < 1 << 53
    return value is None if hint is type(None) else type(value) is hint


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def write_program(program: Program, file: BinaryIO) -> None:
    """Write the artifact to the start of a seekable file: byte-identical for equal programs.

    Arrays are written block by block, and hashed as they are; none is copied.
    """
    description, code = describe(program)
    made = generated(program)
    arrays = {f"data/{name}": a for name, a in program.data.items() if name not in made}
    # the format cannot hold an empty array next to others reliably; a missing one reads back as empty
    for name, raw in ((_CODE, np.frombuffer(code, np.uint8)), (_CONSTANTS, program.constants)):
        if raw.size:
            arrays[name] = raw
    text = canonical_json(description)
    digests = dict.fromkeys(arrays, "")

    def metadata() -> dict[str, str]:
        return {"cimc": f"{_digest(text, digests)} {text}"}  # one entry: several have no order of their own

    def written(name: str, array: NDArray[Any]) -> None:
        digests[name] = digest_of(array)

    write_tensors(file, arrays, metadata, written)


def to_bytes(program: Program) -> bytes:
    """The artifact as bytes."""
    stream = io.BytesIO()
    write_program(program, stream)
    return stream.getvalue()


def _digest(text: str, digests: Mapping[str, str]) -> str:
    """Digest of a description and, by name, the digests of arrays."""
    digest = hashlib.sha256(text.encode())
    for name, of_array in sorted(digests.items()):
        digest.update(f"\n{name}:{of_array}".encode())
    return digest.hexdigest()


def save_program(program: Program, path: Path) -> None:
    """Write the artifact to ``path`` atomically."""
    with atomic_file(path) as file:
        write_program(program, file)


def load_program(path: Path) -> Program:
    """Map an artifact into memory and check its format version and digests.

    The file is read once, block by block, for the digests; its arrays stay on disk until they are used.

    Raises:
        ProgramError: ``program.unreadable``, ``program.not-cimc``, ``program.version``,
            ``program.bad-remark`` or ``program.corrupt``.
    """
    from safetensors import SafetensorError

    where = Location(file=str(path))
    try:
        metadata, arrays = map_tensors(path)
    except FileNotFoundError:
        raise ProgramError("program.unreadable", "no such file", location=where) from None
    except (OSError, SafetensorError, ValueError) as error:
        raise ProgramError(
            "program.unreadable",
            f"this is no program file ({error})",
            location=where,
            hint="make one with: cimc compile model.onnx -o model.cimc",
        ) from None
    if "cimc" not in metadata:
        raise ProgramError("program.not-cimc", "a safetensors file, but not a cimc program", location=where)
    digest, _, text = metadata["cimc"].partition(" ")
    if digest != _digest(text, {name: digest_of(array) for name, array in arrays.items()}):
        raise ProgramError(
            "program.corrupt", "the contents do not match their digest", location=where, hint="compile again"
        )
    try:
        description = json.loads(text)
        version = description["header"]["version"]
        if version != FORMAT_VERSION:
            raise ProgramError(
                "program.version",
                f"format version {version}, this cimc reads {FORMAT_VERSION}",
                location=where,
                hint="compile the model again with this version",
            )
        empty = np.zeros(0, np.uint8)
        data = {name[5:]: array for name, array in arrays.items() if name.startswith("data/")}
        return restore(description, arrays.get(_CODE, empty).tobytes(), arrays.get(_CONSTANTS, empty), data)
    except ProgramError as error:
        error.location = error.location or where
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ProgramError("program.corrupt", f"malformed description: {error!r}", location=where) from None
