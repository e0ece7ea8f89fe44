"""Strategies by name; the built-in ones are imported when they are first asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Protocol, TypeVar

from cimc.errors import PassError
from cimc.mapping.assignment.problem import PlacementProblem, Proposal


class Strategy(Protocol):
    """A function of a problem, a seed and its own keyword options (each with a default)."""

    __module__: str
    __qualname__: str

    def __call__(self, problem: PlacementProblem, /, *, seed: int) -> Proposal:
        """Place every item; raise InfeasibleError when no packing can be found."""


_BUILT_IN = {
    "round_robin": "cimc.mapping.assignment.methods.round_robin",
    "first_fit": "cimc.mapping.assignment.methods.first_fit",
    "greedy": "cimc.mapping.assignment.methods.greedy",
    "anneal": "cimc.mapping.assignment.methods.anneal",
    "ortools": "cimc.mapping.assignment.methods.ortools",
    "pimcomp_sequential": "cimc.mapping.assignment.methods.published",
    "recross": "cimc.mapping.assignment.methods.published",
    "rerec": "cimc.mapping.assignment.methods.published",
    "torchrec_greedy": "cimc.mapping.assignment.methods.published",
}
_registered: dict[str, Strategy] = {}

S = TypeVar("S", bound=Strategy)


def register(name: str) -> Callable[[S], S]:
    """Decorator that makes a function a strategy called ``name``.

    Registering the same function again (a module that is reloaded) replaces it.

    Raises:
        PassError: ``mapping.duplicate-strategy``, when another function has that name.
    """

    def add(strategy: S) -> S:
        where = (strategy.__module__, strategy.__qualname__)
        known = _registered.get(name)
        owner = (known.__module__, known.__qualname__) if known else None
        foreign = name in _BUILT_IN and strategy.__module__ != _BUILT_IN[name]
        if foreign or (owner and owner != where):
            raise PassError(
                "mapping.duplicate-strategy",
                f"there is already a placement strategy `{name}`",
                hint="register yours under another name",
            )
        _registered[name] = strategy
        return strategy

    return add


def strategies() -> tuple[str, ...]:
    """The names that :func:`cimc.mapping.assignment.solve` accepts, in alphabetical order."""
    return tuple(sorted(_BUILT_IN.keys() | _registered.keys()))


def lookup(name: str) -> Strategy:
    """The strategy called ``name``.

    Raises:
        PassError: ``mapping.unknown-strategy``.
    """
    if name in _BUILT_IN:
        import_module(_BUILT_IN[name])  # waits where another thread is in the middle of it
    if name not in _registered:
        raise PassError(
            "mapping.unknown-strategy",
            f"there is no placement strategy `{name}`",
            hint="known strategies: " + ", ".join(strategies()),
        )
    return _registered[name]


def check_options(name: str, strategy: Strategy, options: dict[str, object]) -> None:
    """Refuse options that ``strategy`` does not take, and numbers of the wrong kind.

    Raises:
        PassError: ``mapping.unknown-option`` or ``mapping.bad-option``.
    """
    parameters = inspect.signature(strategy).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return
    known = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY} - {"seed"}
    unknown = sorted(options.keys() - known)
    if unknown:
        raise PassError(
            "mapping.unknown-option",
            f"placement strategy `{name}` has no option `{unknown[0]}`",
            hint="its options: " + (", ".join(sorted(known)) or "none"),
        )
    for parameter in parameters:
        if parameter.name in options:
            _check_type(parameter, options[parameter.name])


def _check_type(parameter: inspect.Parameter, value: object) -> None:
    """A number option takes a number of its default's kind; other options are the strategy's business."""
    default = parameter.default
    wanted: type | tuple[type, ...]
    if type(default) is int:
        wanted, word = int, "an integer"
    elif type(default) is float:
        wanted, word = (int, float), "a number"
    else:
        return
    fits = isinstance(value, wanted) and not isinstance(value, bool)
    require(fits, f"option `{parameter.name}` of a placement strategy must be {word}, it is {value!r}")


def require(holds: bool, message: str) -> None:
    """Refuse an option's value, from inside a strategy.

    Raises:
        PassError: ``mapping.bad-option``, unless ``holds``.
    """
    if not holds:
        raise PassError("mapping.bad-option", message)
