"""What a node does that stays on the host: a record that compiler, simulator and reports share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HostWork:
    """Multiplications and looked-up values of a node on the host.

    Attributes:
        node: its name; ``within``: that of the loop or branch around it, ``""`` for none.
        op: its operator.
        macs, lookups: how many; ``None`` where that is not known.
        why: why not; ``""`` where both are.
    """

    node: str
    op: str
    macs: float | None
    lookups: float | None
    why: str = ""
    within: str = ""
