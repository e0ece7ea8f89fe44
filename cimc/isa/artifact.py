"""Programs as files: one safetensors file with a JSON header, written atomically, digests checked on load."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import Location, ProgramError
from cimc.ir.files import write_atomically
from cimc.ir.store import digest_of
from cimc.isa.encoding import decode, encode
from cimc.isa.program import FORMAT_VERSION, ChipSegment, Header, HostSegment, Matrix, Port, Program

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
                }
            }
        )
    description = {
        "header": dataclasses.asdict(program.header),
        "segments": segments,
        "matrices": [dataclasses.asdict(m) for m in program.matrices],
        "facts": program.facts,
    }
    return description, bytes(code)


def restore(
    description: dict[str, Any], code: bytes, constants: NDArray[np.uint8], data: dict[str, NDArray[Any]]
) -> Program:
    """The inverse of :func:`describe`; KeyError, TypeError or ProgramError for a malformed description."""
    header = _build(Header, description["header"])
    segments: list[ChipSegment | HostSegment] = []
    for entry in description["segments"]:
        if "host" in entry:
            segments.append(_build(HostSegment, entry["host"]))
            continue
        chip = entry["chip"]
        streams = {int(t): decode(code[at : at + size]) for t, at, size in chip["streams"]}
        ports = [tuple(_build(Port, p) for p in chip[side]) for side in ("inputs", "outputs")]
        segments.append(ChipSegment(ports[0], ports[1], streams))
    matrices = tuple(_build(Matrix, m) for m in description["matrices"])
    return Program(header, tuple(segments), matrices, constants, data, description["facts"])


def _build(cls: Any, fields: dict[str, Any]) -> Any:
    return cls(**{key: _tuples(value) for key, value in fields.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def to_bytes(program: Program) -> bytes:
    """The artifact: byte-identical for equal programs."""
    from safetensors.numpy import save

    description, code = describe(program)
    arrays = {f"data/{name}": np.ascontiguousarray(a) for name, a in sorted(program.data.items())}
    # safetensors cannot hold an empty array next to others reliably; a missing one reads back as empty
    for name, raw in ((_CODE, np.frombuffer(code, np.uint8)), (_CONSTANTS, program.constants)):
        if raw.size:
            arrays[name] = np.ascontiguousarray(raw)
    text = canonical_json(description)
    # one entry only: safetensors writes several in no fixed order
    return bytes(save(arrays, {"cimc": f"{_digest(text, arrays)} {text}"}))


def _digest(text: str, arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"\n{name}:{digest_of(array)}".encode())
    return digest.hexdigest()


def save_program(program: Program, path: Path) -> None:
    """Write the artifact to ``path`` atomically."""
    write_atomically(path, to_bytes(program))


def load_program(path: Path) -> Program:
    """Read an artifact and check its format version and digests.

    Raises:
        ProgramError: ``program.unreadable``, ``program.not-cimc``, ``program.version`` or
            ``program.corrupt``.
    """
    from safetensors import SafetensorError, safe_open

    where = Location(file=str(path))
    try:
        with safe_open(path, "np") as file:
            metadata = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
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
    if digest != _digest(text, arrays):
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
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProgramError("program.corrupt", f"malformed description: {error!r}", location=where) from None
