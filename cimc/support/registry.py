"""Functions by name: the table behind grouping, replication and quadratic methods."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Generic, TypeVar

from cimc.errors import PassError

F = TypeVar("F", bound=Callable[..., object])


class Names(Generic[F]):
    """A table of functions of one kind, by name.

    Args:
        kind: what a function is, for messages, such as "grouping policy".
        built_in: name to module; the module is imported when the name is first asked for.
    """

    def __init__(self, kind: str, built_in: dict[str, str] | None = None) -> None:
        self._kind = kind
        self._built_in = built_in or {}
        self._known: dict[str, F] = {}

    def register(self, name: str) -> Callable[[F], F]:
        """Decorator that gives a function a name; a module that is reloaded may do so again.

        Raises:
            PassError: ``mapping.duplicate-strategy``, when another function has that name.
        """

        def add(function: F) -> F:
            known = self._known.get(name)
            foreign = name in self._built_in and function.__module__ != self._built_in[name]
            if foreign or (known is not None and _where(known) != _where(function)):
                raise PassError(
                    "mapping.duplicate-strategy",
                    f"there is already a {self._kind} `{name}`",
                    hint="register yours under another name",
                )
            self._known[name] = function
            return function

        return add

    def names(self) -> tuple[str, ...]:
        """All names, in alphabetical order."""
        return tuple(sorted(self._built_in.keys() | self._known.keys()))

    def lookup(self, name: str) -> F:
        """The function called ``name``.

        Raises:
            PassError: ``mapping.unknown-strategy``.
        """
        if name in self._built_in:
            import_module(self._built_in[name])  # waits where another thread is in the middle of it
        if name not in self._known:
            raise PassError(
                "mapping.unknown-strategy",
                f"there is no {self._kind} `{name}`",
                hint="known: " + ", ".join(self.names()),
            )
        return self._known[name]


def _where(function: Callable[..., object]) -> tuple[str, str]:
    return function.__module__, getattr(function, "__qualname__", "")
