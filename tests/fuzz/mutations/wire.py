"""Damage to the bytes of the file: flips, cuts, insertions, and lengths that lie."""

from __future__ import annotations

from typing import Any

from tests.fuzz.subject import Subject, mutation


def _structure(data: bytes, s_random: float) -> int:
    """A position; mostly in the first or last 8 KB, where the structure of a model lies."""
    near = min(len(data), 8192)
    if s_random < 0.45:
        return int(s_random / 0.45 * near)
    if s_random < 0.9:
        return len(data) - near + int((s_random - 0.45) / 0.45 * near)
    return int((s_random - 0.9) * 10 * len(data))


@mutation
def flip_bits(s: Subject) -> Any:
    places = [(s.rng.random(), 1 << s.rng.randrange(8)) for _ in range(s.rng.choice([1, 1, 1, 4, 32]))]

    def damage(data: bytes) -> bytes:
        out = bytearray(data)
        for where, bit in places:
            if out:
                out[min(_structure(data, where), len(out) - 1)] ^= bit
        return bytes(out)

    s.damages.append(damage)


@mutation
def truncate(s: Subject) -> Any:
    share = s.rng.choice([0.0, s.rng.random(), s.rng.random(), 1 - s.rng.random() * 0.01])
    s.damages.append(lambda data: data[: int(len(data) * share)])


@mutation
def insert_bytes(s: Subject) -> Any:
    where, extra = s.rng.random(), s.rng.randbytes(s.rng.choice([1, 2, 10, 100]))

    def damage(data: bytes) -> bytes:
        at = _structure(data, where)
        return data[:at] + extra + data[at:]

    s.damages.append(damage)


@mutation
def overwrite_with_varints(s: Subject) -> Any:
    """A byte becomes the largest varint: a length or a tag that lies."""
    where = s.rng.random()
    huge = s.rng.choice([b"\xff" * 9 + b"\x01", b"\xff" * 10, b"\xff\xff\xff\xff\x07", b"\x00", b"\x80"])

    def damage(data: bytes) -> bytes:
        at = _structure(data, where)
        return data[:at] + huge + data[at + 1 :]

    s.damages.append(damage)


@mutation
def append_a_model(s: Subject) -> Any:
    """Concatenated messages merge in protobuf."""
    share = s.rng.choice([1.0, 1.0, s.rng.random()])
    s.damages.append(lambda data: data + data[: int(len(data) * share)])


@mutation
def drop_a_slice(s: Subject) -> Any:
    where, size = s.rng.random(), s.rng.choice([1, 2, 5, 50])

    def damage(data: bytes) -> bytes:
        at = _structure(data, where)
        return data[:at] + data[at + size :]

    s.damages.append(damage)
