"""What a compiled program consists of, as plain data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.isa.instructions import Instr
from cimc.remarks import Remarks
from cimc.support.shown import Shown, counted, some
from cimc.target.spec import Target

FORMAT_VERSION = 5
"""Version of the artifact format and instruction encoding; a simulator refuses any other."""


CORPUS = "corpus"
"""Kind of a matrix that is searched: a row an item, which stands along the bit lines of its arrays."""
MOST_HITS = 1 << 16
"""Hits of a list at most."""


@dataclass(frozen=True)
class Port:
    """Where a value enters or leaves a chip segment.

    ``kind`` ``dense``: one row of ``elements`` 4-byte elements a request, from the value ``value`` of shape
    ``[batch, *shape]``.  ``kind`` ``bag``: the ids of one bag a request; ``layout`` as in
    ``rec.embedding_bag``, ``offsets`` and ``weights`` name further values; ids equal to ``padding`` are not
    sent; ``longest``: ids of each bag where that is known, those that are not sent included.  ``dtype`` is
    the type on the link: ``f32`` or ``i32``; ``source`` the numpy dtype of the value outside.
    """

    value: str
    kind: str
    dtype: str
    source: str
    shape: tuple[int, ...] = ()
    layout: str = ""
    offsets: str = ""
    weights: str = ""
    padding: int | None = None
    longest: int | None = None

    @property
    def elements(self) -> int:
        """Elements of one request's row."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Matrix:
    """A matrix of the directory; arrays ``{name}.data``, ``.blocks`` and ``.ranges`` are in the data section.

    Of a layer, ``{name}.certificate`` says which column sums no input can clip (``cimc.isa.certificate``).

    For a table, ``blocks`` is the row directory: blocks are ordered by rows, then columns, each of
    ``block_rows`` rows (the last of a column may have fewer).  Row ``r`` is stored in slot ``s = slots[r]``
    (``.slots``, a permutation; ``r`` itself where that array is absent), at word line ``s % block_rows`` of
    the blocks with ``row0 == s - s % block_rows`` and of their copies (``.replicas``, where present).
    :class:`cimc.isa.directory.RowDirectory` reads all of these.

    A layer on tiles of a :class:`CopyGroup` has ``.replicas`` too: of each block one for every further
    instance, in the order of the instances.
    """

    name: str
    kind: str
    rows: int
    cols: int
    bits: int
    slices: int
    block_rows: int
    pool_rows: int = 1
    input_bits: int = 0
    input_signed: bool = False


@dataclass(frozen=True)
class CopyGroup:
    """Tiles whose streams, and the layers that they drive, exist several times.

    ``instances``: the tiles of each instance, ``[R][n]`` with R of at least 2.  Instance 0 is the one that
    streams name.  Request ``k`` of a run uses instance ``k mod R``: what the streams say of the ``i``-th tile
    of instance 0 is done by, and sent to, the ``i``-th tile of that instance.
    """

    instances: tuple[tuple[int, ...], ...]

    @property
    def tiles(self) -> tuple[int, ...]:
        """Tiles of instance 0."""
        return self.instances[0]

    @property
    def count(self) -> int:
        """R, the number of instances."""
        return len(self.instances)


@dataclass(frozen=True)
class ChipSegment:
    """Instruction streams of all tiles for one stretch of the model, for one request.

    ``copies``: which of the tiles have further instances; no tile of any instance has another stream.
    ``host_ports``: for each tile that runs a stream, of any instance, the port of its chip that its messages
    from and to the host pass; 0 for those that are not named.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    streams: dict[int, tuple[Instr, ...]]
    copies: tuple[CopyGroup, ...] = ()
    host_ports: dict[int, int] = field(default_factory=dict)

    @cached_property
    def _places(self) -> dict[int, tuple[int, ...]]:
        copied = {
            tile: tuple(instance[i] for instance in group.instances)
            for group in self.copies
            for i, tile in enumerate(group.tiles)
        }
        return {tile: copied.get(tile, (tile,)) for tile in self.streams}

    @cached_property
    def _stream_of(self) -> dict[int, int]:
        return {place: tile for tile, places in self._places.items() for place in places}

    def places(self, tile: int) -> tuple[int, ...]:
        """The tiles that run the stream of ``tile``, one an instance."""
        return self._places.get(tile, (tile,))

    def at(self, tile: int, turn: int) -> int:
        """The tile that does for request ``turn`` of a run what the streams say of ``tile``."""
        places = self.places(tile)
        return places[turn % len(places)]

    def stream_of(self, place: int) -> tuple[Instr, ...]:
        """The stream that a tile of any instance runs.

        Raises:
            KeyError: when it runs none.
        """
        return self.streams[self._stream_of[place]]

    def running(self) -> Iterator[tuple[int, tuple[Instr, ...]]]:
        """Every tile that runs a stream, of all instances, with it, in the order of the tiles."""
        for place, tile in sorted(self._stream_of.items()):
            yield place, self.streams[tile]

    @property
    def period(self) -> int:
        """Requests ``k`` and ``k + period`` run on the same tiles."""
        return math.lcm(*(group.count for group in self.copies))

    def nearest_ports(self, target: Target) -> dict[int, int]:
        """What ``host_ports`` says when every tile uses the port that is nearest to it."""
        found = {place: target.nearest_port(place) for place, _ in self.running()}
        return {place: port for place, port in found.items() if port}

    def gate(self, tile: int, target: Target) -> int:
        """The tile whose router takes in and lets out what ``tile`` and the host exchange."""
        return target.port_tile(target.coordinates(tile)[0], self.host_ports.get(tile, 0))


@dataclass(frozen=True)
class HostSegment:
    """A stretch that onnxruntime executes on the whole batch.

    ``model`` names the ONNX bytes in the data section; ``inputs`` and ``outputs`` are pairs of (name in that
    model, value of the program).
    """

    model: str
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...] = ()
    nodes: int = 0


@dataclass(frozen=True, repr=False)
class Header(Shown):
    """What identifies a program.

    ``inputs``: name, numpy dtype (or :data:`cimc.workload.request_rules.OPAQUE`) and shape (-1 = varies) of
    each input of the model.  ``outputs``: name of each output and the value of the program that it
    is.  ``notes``: assumptions and fallbacks taken.  ``plugins``: name, version and digest of the plug-ins
    that took part in compiling it; nothing is ever imported because of them.
    """

    model: str
    model_digest: str
    target: str
    target_digest: str
    target_json: str
    pipeline: str
    seed: int
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    version: int = FORMAT_VERSION
    notes: tuple[str, ...] = ()
    plugins: tuple[tuple[str, str, str], ...] = ()

    def _brief(self) -> str:
        return f"{self.model!r} for {self.target}: inputs {some([i[0] for i in self.inputs])}"


@dataclass(repr=False)
class Program(Shown):
    """A compiled model: header, segments in order of execution, matrix directory, constants and data.

    ``remarks`` say what compilation found out and decided; nothing that executes the program reads them.
    """

    header: Header
    segments: tuple[ChipSegment | HostSegment, ...]
    matrices: tuple[Matrix, ...]
    constants: NDArray[np.uint8]
    data: dict[str, NDArray[Any]] = field(default_factory=dict)
    remarks: Remarks = field(default_factory=Remarks)

    def _brief(self) -> str:
        header, segments = self.header, counted(len(self.segments), "segment")
        matrices = f"{len(self.matrices)} matri{'x' if len(self.matrices) == 1 else 'ces'}"
        instructions = counted(self.instruction_count, "instruction")
        return f"{header.model!r} for {header.target}: {instructions} in {segments}, {matrices}"

    @property
    def facts(self) -> Mapping[str, Any]:
        """The remarks as plain JSON, read only.

        .. deprecated:: 0.1
            Read :attr:`remarks`, which have types: ``remarks.placement.gap``.
        """
        warnings.warn(
            "Program.facts is deprecated: read Program.remarks, such as remarks.placement.gap",
            DeprecationWarning,
            stacklevel=2,
        )
        return MappingProxyType(self.remarks.to_json())

    @property
    def chip_segments(self) -> tuple[ChipSegment, ...]:
        """The segments that tiles execute."""
        return tuple(s for s in self.segments if isinstance(s, ChipSegment))

    @property
    def period(self) -> int:
        """Requests ``k`` and ``k + period`` of a run use the same instances of all that is copied."""
        return math.lcm(*(segment.period for segment in self.chip_segments))

    @property
    def instruction_count(self) -> int:
        """Instructions over all streams and segments, those of copies once."""
        return sum(len(stream) for s in self.chip_segments for stream in s.streams.values())
