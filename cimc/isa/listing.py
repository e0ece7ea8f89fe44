"""A whole program as text, and back: streams, ports, matrix directory, header.  Arrays stand beside it.

A line is a directive, an instruction (``assembly.py``), or ends in a comment after ``#``::

    .program
    model = "dlrm.onnx"              # any JSON value
    .data "3f2a..."                  # digest of the arrays that go with the text; optional
    .matrix name="emb.0" kind="table" rows=1460 ...
    .generated array="emb.0.data" recipe={...}   # an array made when it is read, in place of its elements
    .segment chip
    .port in value="dense" kind="dense" ...
    .copies [[28,29],[4,5]]          # tiles of each instance of a copy group
    .host_ports [[28,2],[29,3]]      # tile, and the port of its chip for messages from and to the host
    .tile 28
      load dst=[0] port=p0 n=13
    .segment host model="host0" inputs=[["in0","ids"]] ...
    .facts
    placement = {...}

Values are JSON without spaces outside of strings.  Which byte of the artifact comes from where:
``.program``, ``.matrix``, ``.port`` and ``.segment host`` name the fields of the classes in ``program.py``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from cimc.errors import Location, ProgramError
from cimc.ir.cim import BLOCK_FIELDS
from cimc.ir.residence import Residence, residence_of
from cimc.ir.tensor_store import TensorStore
from cimc.isa.artifact import canonical_json, describe, generated, restore
from cimc.isa.assembly import format_stream, parse_instr
from cimc.isa.encoding import encode
from cimc.isa.instructions import Instr
from cimc.isa.program import Header, HostSegment, Matrix, Port, Program

Arrays = dict[str, NDArray[Any]]

CONSTANTS = "constants"
_DATA = "data/"
_WORD = re.compile(r"[A-Za-z_]\w*=")


def arrays_of(program: Program) -> Arrays:
    """The arrays that stand beside the text: ``data/NAME`` and ``constants`` (absent when empty)."""
    made = generated(program)
    out = {f"{_DATA}{name}": array for name, array in sorted(program.data.items()) if name not in made}
    if program.constants.size:
        out[CONSTANTS] = program.constants
    return out


def data_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Digest over the names and contents of the arrays beside a text."""
    import hashlib

    from cimc.ir.tensor_store import digest_of

    lines = [f"{name}:{digest_of(array)}" for name, array in sorted(arrays.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def save_data(program: Program, path: Path) -> None:
    """Write the arrays beside a text to a safetensors file, atomically.

    Raises:
        CimcError: ``io.cannot-write``.
    """
    store = TensorStore()
    for name, array in arrays_of(program).items():
        store.put(name, array)
    store.save(path)


def format_program(program: Program) -> str:
    """The program as text; :func:`parse_program` with its arrays gives an identical artifact."""
    description, _ = describe(program)
    lines = [f"# {program.instruction_count} instructions for one request", ".program"]
    lines += [f"{key} = {_json(value)}" for key, value in description["header"].items()]
    lines += [f".data {_json(data_digest(arrays_of(program)))}", ""]
    for number, matrix in enumerate(description["matrices"]):
        lines.append(f".matrix {_words(matrix)}  # m{number}{_living(program, matrix['name'])}")
    for name, recipe in sorted(description["generated"].items()):
        lines.append(f".generated array={_json(name)} recipe={_json(recipe)}")
    for segment, entry in zip(program.segments, description["segments"], strict=True):
        lines.append("")
        if isinstance(segment, HostSegment):
            lines.append(f".segment host {_words(entry['host'])}")
            continue
        lines.append(".segment chip")
        for side in ("inputs", "outputs"):
            for number, port in enumerate(entry["chip"][side]):
                lines.append(f".port {'in' if side == 'inputs' else 'out'} {_words(port)}  # p{number}")
        lines += [f".copies {_json(instances)}" for instances in entry["chip"]["copies"]]
        if segment.host_ports:
            lines.append(f".host_ports {_json(entry['chip']['host_ports'])}")
        for tile, stream in sorted(segment.streams.items()):
            lines += [f".tile {tile}", *format_stream(stream)]
    lines += ["", ".facts"]
    lines += [f"{key} = {_json(value)}" for key, value in sorted(description["facts"].items())]
    return "\n".join(lines) + "\n"


def _living(program: Program, name: str) -> str:
    """What is unusual about where a matrix lives, for the comment of its line."""
    slots, replicas = program.data.get(f"{name}.slots"), program.data.get(f"{name}.replicas")
    blocks = program.data.get(f"{name}.blocks")
    kinds = np.zeros(0, np.int8)
    if blocks is not None and blocks.ndim == 2 and blocks.shape[1] == len(BLOCK_FIELDS):
        kinds = residence_of(blocks)  # programs are listed before anything checks them
    parts = ["slots"] if slots is not None else []
    parts += [f"{replicas.shape[0]} copies of blocks"] if replicas is not None and replicas.ndim else []
    for kind in (Residence.SRAM, Residence.DRAM):
        count = int((kinds == int(kind)).sum())
        parts += [f"{count} of {len(kinds)} blocks in {kind.name}"] if count else []
    return "".join(f", {part}" for part in parts)


def _json(value: Any) -> str:
    return canonical_json(value).replace("#", "\\u0023")  # a '#' outside of a comment would look like one


def _words(values: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={_json(value)}" for key, value in values.items())


def parse_program(text: str, arrays: Mapping[str, NDArray[Any]], file: str = "<text>") -> Program:
    """The program that a text and the arrays beside it describe; it is not verified here.

    Raises:
        ProgramError: ``isa.syntax`` with file and line; ``isa.other-data`` when the arrays are not those that
            the text was written with; ``program.bad-remark`` for what no pass can have said.
    """
    return _Parser(file, dict(arrays)).parse(text)


class _Parser:
    def __init__(self, file: str, arrays: Arrays) -> None:
        self.file, self.arrays = file, arrays
        self.line = 0
        self.header: dict[str, Any] | None = None
        self.facts: dict[str, Any] = {}
        self.matrices: list[dict[str, Any]] = []
        self.generated: dict[str, Any] = {}
        self.segments: list[dict[str, Any]] = []
        self.values: dict[str, Any] | None = None  # where ``key = value`` lines go
        self.streams: dict[int, list[Instr]] | None = None
        self.stream: list[Instr] | None = None
        self.code = bytearray()

    def fail(self, why: str) -> ProgramError:
        return ProgramError("isa.syntax", why, location=Location(file=f"{self.file}:{self.line}"))

    def parse(self, text: str) -> Program:
        for self.line, raw in enumerate(text.splitlines(), 1):
            line = raw.split("#", 1)[0].strip()
            if line.startswith("."):
                self.directive(*line.partition(" ")[::2])
            elif line and self.stream is not None:
                self.stream.append(parse_instr(line, file=self.file, number=self.line))
            elif line and self.values is not None:
                key, equals, value = line.partition("=")
                if not equals:
                    raise self.fail(f"'{line}' is no 'key = value'")
                self.values[key.strip()] = self.json(value.strip())
            elif line:
                raise self.fail("an instruction stands after .tile, a value after .program or .facts")
        self.close()
        if self.header is None:
            raise self.fail("there is no .program")
        self.complete(Header, {"plugins": [], **self.header}, ".program")
        constants = self.arrays.get(CONSTANTS, np.zeros(0, np.uint8))
        data = {n.removeprefix(_DATA): a for n, a in self.arrays.items() if n.startswith(_DATA)}
        whole = {
            "header": self.header,
            "segments": self.segments,
            "matrices": self.matrices,
            "facts": self.facts,
            "generated": self.generated,
        }
        try:
            return restore(whole, bytes(self.code), constants, data)
        except ProgramError as error:
            error.location = error.location or Location(file=self.file)
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise self.fail(f"the description is malformed: {error!r}") from None

    def directive(self, name: str, rest: str) -> None:
        if name not in (".port", ".copies", ".host_ports", ".tile"):
            self.close()
        self.stream = None
        handler = getattr(self, f"on_{name[1:]}", None)
        if handler is None:
            raise self.fail(f"'{name}' is no directive")
        handler(rest.strip())

    # -- directives ---------------------------------------------------------------------------------

    def on_program(self, rest: str) -> None:
        self.values = self.header = {}

    def on_facts(self, rest: str) -> None:
        self.values = self.facts

    def on_data(self, rest: str) -> None:
        if self.json(rest) != data_digest(self.arrays):
            raise ProgramError(
                "isa.other-data",
                "the arrays beside the text are not those that it was written with",
                location=Location(file=f"{self.file}:{self.line}"),
                hint="give the right file with --data; if the arrays changed on purpose, delete this line",
            )

    def on_matrix(self, rest: str) -> None:
        self.matrices.append(self.complete(Matrix, self.words(rest), ".matrix"))

    def on_generated(self, rest: str) -> None:
        found = self.words(rest)
        if set(found) != {"array", "recipe"} or not isinstance(found["array"], str):
            raise self.fail(".generated takes array and recipe")
        self.generated[found["array"]] = found["recipe"]

    def on_segment(self, rest: str) -> None:
        kind, _, more = rest.partition(" ")
        if kind == "host":
            self.segments.append({"host": self.complete(HostSegment, self.words(more), ".segment host")})
        elif kind == "chip" and not more.strip():
            names = ("inputs", "outputs", "streams", "copies", "host_ports")
            self.segments.append({"chip": {name: [] for name in names}})
            self.streams = {}
        else:
            raise self.fail(".segment is 'chip' or 'host ...'")

    def on_port(self, rest: str) -> None:
        side, _, more = rest.partition(" ")
        if self.streams is None or side not in ("in", "out"):
            raise self.fail(".port in ... or .port out ... stands in a '.segment chip'")
        self.segments[-1]["chip"][f"{side}puts"].append(self.complete(Port, self.words(more), ".port"))

    def on_copies(self, rest: str) -> None:
        if self.streams is None:
            raise self.fail(".copies [[TILE, ...], ...] stands in a '.segment chip'")
        self.segments[-1]["chip"]["copies"].append(self.json(rest))

    def on_host_ports(self, rest: str) -> None:
        if self.streams is None:
            raise self.fail(".host_ports [[TILE, PORT], ...] stands in a '.segment chip'")
        self.segments[-1]["chip"]["host_ports"] = self.json(rest)

    def on_tile(self, rest: str) -> None:
        if self.streams is None or not rest.isdecimal() or len(rest) > 9:
            raise self.fail(".tile NUMBER stands in a '.segment chip'")
        if int(rest) in self.streams:
            raise self.fail(f"tile {rest} has a stream in this segment already")
        self.stream = self.streams[int(rest)] = []

    def close(self) -> None:
        """End the segment or section under way."""
        if self.streams is not None:
            for tile, stream in sorted(self.streams.items()):
                binary = encode(tuple(stream))
                self.segments[-1]["chip"]["streams"].append([tile, len(self.code), len(binary)])
                self.code += binary
        self.streams = self.stream = self.values = None

    # -- values -------------------------------------------------------------------------------------

    def json(self, text: str) -> Any:
        try:
            return json.loads(text, parse_constant=self.constant, parse_float=self.real)
        except (ValueError, RecursionError) as error:
            raise self.fail(f"'{text[:60]}' is no JSON value: {error}") from None

    def real(self, text: str) -> float:
        return float(text) if math.isfinite(float(text)) else self.constant(text)

    def constant(self, text: str) -> NoReturn:
        raise self.fail(f"{text} is no JSON value")

    def words(self, text: str) -> dict[str, Any]:
        """``key=value`` words whose values are JSON."""
        return dict(self._words(text))

    def _words(self, text: str) -> Iterator[tuple[str, Any]]:
        decoder, at = json.JSONDecoder(parse_constant=self.constant, parse_float=self.real), 0
        while at < len(text):
            match = _WORD.match(text, at)
            if match is None:
                raise self.fail(f"expected key=value at '{text[at : at + 40]}'")
            try:
                value, end = decoder.raw_decode(text, match.end())
            except (ValueError, RecursionError) as error:
                raise self.fail(f"{match[0]} is not followed by a JSON value: {error}") from None
            if end < len(text) and not text[end].isspace():
                raise self.fail(f"expected a space at '{text[end : end + 40]}'")
            yield match[0][:-1], value
            at = end + len(text[end:]) - len(text[end:].lstrip())

    def complete(self, cls: type[Any], values: dict[str, Any], where: str) -> dict[str, Any]:
        """``values`` if they are exactly the fields of ``cls``."""
        wanted = {f.name for f in fields(cls)}
        if wanted != set(values):
            missing, extra = sorted(wanted - set(values)), sorted(set(values) - wanted)
            parts = [f"lacks {', '.join(missing)}"] if missing else []
            parts += [f"does not take {', '.join(extra)}"] if extra else []
            raise self.fail(f"{where} {' and '.join(parts)}")
        return values
