"""What ``demote`` finds that ``plan-offload`` should choose otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cimc.errors import CimcError, InfeasibleError, Shortage


@dataclass(frozen=True)
class Offload(Shortage):
    """What of a choice did not get to the chip.

    Attributes:
        torn: composites, by number, of which only a part got there, and why.
        nothing: functions of which nothing got there, although they were changed for it.
    """

    torn: Mapping[int, str] = field(default_factory=dict)
    nothing: tuple[str, ...] = ()


class OffloadError(InfeasibleError):
    """Operators were taken apart, or made f32, in vain: ``plan-offload`` has to choose again.

    Args:
        torn: as :class:`Offload`.
        nothing: as :class:`Offload`.
    """

    def __init__(self, torn: Mapping[int, str], nothing: tuple[str, ...]) -> None:
        self.shortage = Offload("offload", len(torn) + len(nothing), 0, "choices", torn=torn, nothing=nothing)
        if nothing:
            what = f"nothing of @{nothing[0]} goes to the chip, so it was changed in vain"
            option = f"host_only={','.join(nothing)}"
        else:
            number, reason = next(iter(torn.items()))
            what = f"only a part of composite {number} goes to the chip: {reason}"
            option = f"whole={','.join(map(str, torn))}"
        CimcError.__init__(self, "pass.offload", what, hint=f"begin again with plan-offload{{{option}}}")
