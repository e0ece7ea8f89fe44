"""Strategies by name; the built-in ones are imported when they are first asked for."""

from __future__ import annotations

from typing import Protocol

from cimc.errors import PassError
from cimc.mapping.assignment.problem import PlacementProblem, Proposal
from cimc.support.registry import Registry


class Strategy(Protocol):
    """A function of a problem, a seed and its own keyword options (each with a default)."""

    __module__: str
    __qualname__: str

    def __call__(self, problem: PlacementProblem, /, *, seed: int) -> Proposal:
        """Place every item; raise InfeasibleError when no packing can be found."""


def callable_(name: str, item: object) -> str | None:
    """Why ``item`` is no function to be called by ``name``, or None."""
    return None if callable(item) else f"it is {type(item).__name__}, not a function"


_METHODS = "cimc.mapping.assignment.methods."
STRATEGIES: Registry[Strategy] = Registry(
    "placement strategy",
    {
        "round_robin": _METHODS + "round_robin:round_robin",
        "exact": _METHODS + "exact:exact",
        "first_fit": _METHODS + "first_fit:first_fit",
        "greedy": _METHODS + "greedy:greedy",
        "anneal": _METHODS + "anneal:anneal",
        "ortools": _METHODS + "ortools:ortools",
        "pimcomp_sequential": _METHODS + "published:pimcomp_sequential",
        "frequency_deal": _METHODS + "published:frequency_deal",
        "hottest_to_idlest": _METHODS + "published:hottest_to_idlest",
        "lpt_by_cost": _METHODS + "published:lpt_by_cost",
    },
    duplicate="mapping.duplicate-strategy",
    fits=callable_,
    group="cimc.strategies",
    reserved={"default": "the default pipeline, where a study names strategies"},
    former={"recross": "hottest_to_idlest", "rerec": "frequency_deal", "torchrec_greedy": "lpt_by_cost"},
)
"""What :func:`cimc.mapping.assignment.solve` accepts, by name."""

register = register_strategy = STRATEGIES.register
strategies = STRATEGIES.names


def require(holds: bool, message: str) -> None:
    """Refuse an option's value, from inside a strategy.

    Raises:
        PassError: ``mapping.bad-option``, unless ``holds``.
    """
    if not holds:
        raise PassError("mapping.bad-option", message)
