"""Why a pattern does not fit: the exception that a match ends with, and the record that is kept of it."""

from __future__ import annotations

from dataclasses import dataclass


class NoMatch(Exception):
    """A recogniser's pattern does not fit; the message says which condition failed."""


class NotMine(NoMatch):
    """The root does not even resemble the pattern; not worth telling the user."""


@dataclass(frozen=True)
class MatchFailure:
    """Why a recogniser left a node alone; ``near`` when its pattern was resembled."""

    recogniser: str
    node: str
    reason: str
    near: bool = True


def need(condition: object, reason: str) -> None:
    """NoMatch with ``reason`` unless ``condition`` holds."""
    if not condition:
        raise NoMatch(reason)
