"""How many bits travel: the one place for compiler, verifier, simulators and cost model.

Every message has a header.  All that a chip takes from the host for a request in a segment is one message on
the host link; the port deals out to each tile its part, in the order of the tile's stream, as one message on
the mesh.  All that a tile gives to the host is one message.  A ``send`` is a message, and so are the ids of
one lookup for one owner, and its answer.
"""

from __future__ import annotations

from typing import NamedTuple

from cimc.isa.program import ChipSegment, Port
from cimc.target.spec import Target

HEADER_BITS = 32
"""Address, tag and length of a message, on the mesh and the host link: an assumption of this model."""
WORD_BITS = 32
"""Width of f32 and i32 elements: results, weights of ids, scales of rows."""
MOST_ID_BITS = 32

FROM_HOST = ("load", "loadq", "bag")
TO_HOST = ("store",)


def id_bits(rows: int) -> int:
    """Width of an id of a table: what numbers 0 .. ``rows - 1`` need, and 1 for a table of one row."""
    return max(1, (rows - 1).bit_length())


class BagForm(NamedTuple):
    """A bag on the host link: ``per_bag`` bits, and ``per_id`` for each of its ids."""

    per_bag: int
    per_id: int


def length_form(port: Port) -> BagForm:
    """How many ids a bag has, as it travels before them.

    Nothing where every bag has as many as the port says; a number of as many bits as the longest bag needs
    where that is known; else in unary, a 1 for each id and a 0.
    """
    if port.longest is None:
        return BagForm(1, 1)
    return BagForm(0 if port.padding is None else port.longest.bit_length(), 0)


def bag_form(port: Port, id_width: int) -> BagForm:
    """A bag of ``port`` with ids of ``id_width`` bits: its length, its ids, their weights if it has any."""
    length = length_form(port)
    weight = WORD_BITS if port.weights else 0
    return BagForm(length.per_bag, length.per_id + id_width + weight)


class Headers(NamedTuple):
    """Bits of headers that a transfer has on the host link and on the mesh, with what it moves itself."""

    link: int = 0
    mesh: int = 0


def host_headers(segment: ChipSegment, target: Target, turn: int = 0) -> dict[tuple[int, int], Headers]:
    """Tile and position of the instructions that begin a message from or to the host when first executed.

    Tiles as the streams name them; ``turn`` says which instances a request uses.  The message on the host
    link begins with the first of the lowest tile that runs on a chip.
    """
    found: dict[tuple[int, int], Headers] = {}
    begun: set[int] = set()
    for tile, stream in sorted(segment.streams.items()):
        chip = target.coordinates(segment.at(tile, turn))[0]
        into = next((at for at, item in enumerate(stream) if item.name in FROM_HOST), None)
        if into is not None:
            found[tile, into] = Headers(0 if chip in begun else HEADER_BITS, HEADER_BITS)
            begun.add(chip)
        out = next((at for at, item in enumerate(stream) if item.name in TO_HOST), None)
        if out is not None:
            found[tile, out] = Headers(HEADER_BITS, HEADER_BITS)
    return found


def sum_bits(dim: int, weight_bits: int, input_bits: int, signed: bool) -> int:
    """Bits, with the sign, that hold the sum of any query and item."""
    largest = (1 << (input_bits - signed)) - 1
    return (dim * largest * (1 << (weight_bits - 1))).bit_length() + 1
