"""Things by name: strategies, policies, passes, recognisers, rules, presets.

A registry holds objects of one kind.  What is built in is named by a table; what others add is registered at
run time, by a decorator or a call.  An object may be given as text, ``"module:attribute"``: the module is
imported when the name is first asked for, so that listing names costs nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar, overload

from cimc.errors import CimcError, PassError, printable

T = TypeVar("T")
S = TypeVar("S")

BUILT_IN = "cimc"
"""Origin of what comes with the package."""


@dataclass(frozen=True)
class Deferred(Generic[T]):
    """An object that is made when it is first asked for; ``where`` names its source, as no other's."""

    where: str
    load: Callable[[], T]


@dataclass
class _Entry(Generic[T]):
    source: T | Deferred[T]
    origin: str
    where: str
    loaded: bool = False


class Registry(Generic[T]):
    """A table of objects of one kind, by name.

    Args:
        kind: what an object is, for messages, such as "placement strategy".
        built_in: name to object, text ``"module:attribute"`` or :class:`Deferred`.
        error: class of the errors below.
        unknown, duplicate, unfit: their codes.
        advice: ends the hint of an unknown name.
        fits: why an object cannot go by a name, or None where it can; asked when it is first looked up.
    """

    def __init__(
        self,
        kind: str,
        built_in: Mapping[str, T | str | Deferred[T]] | None = None,
        *,
        error: type[CimcError] = PassError,
        unknown: str = "mapping.unknown-strategy",
        duplicate: str = "plugin.duplicate",
        unfit: str = "plugin.unfit",
        advice: str = "",
        fits: Callable[[str, Any], str | None] | None = None,
    ) -> None:
        self._kind, self._error, self._advice, self._fits = kind, error, advice, fits
        self._unknown, self._duplicate, self._unfit = unknown, duplicate, unfit
        self._entries: dict[str, _Entry[T]] = {}
        for name, item in (built_in or {}).items():
            source = _source(item)
            self._entries[name] = _Entry(source, BUILT_IN, _where(source))

    @overload
    def register(self, name: str) -> Callable[[S], S]: ...
    @overload
    def register(self, name: str, item: T | str | Deferred[T], *, origin: str = "") -> None: ...

    def register(
        self, name: str, item: T | str | Deferred[T] | None = None, *, origin: str = ""
    ) -> Callable[[S], S] | None:
        """Give an object a name; without ``item``, a decorator that does so.

        The same object may be registered again (a module that is reloaded): the later one counts.

        Args:
            name: the name.
            item: the object, ``"module:attribute"`` or a :class:`Deferred`.
            origin: who provides it, for listings and messages; the package of the object if not given.

        Raises:
            CimcError: ``duplicate``, when something else has that name.
        """
        if item is None:

            def add(decorated: S) -> S:
                self._add(name, decorated, origin)  # type: ignore[arg-type]
                return decorated

            return add
        self._add(name, item, origin)
        return None

    def _add(self, name: str, item: T | str | Deferred[T], origin: str) -> None:
        source = _source(item)
        where = _where(source)
        known = self._entries.get(name)
        if known is not None and known.where != where and known.source != source:
            raise self._error(
                self._duplicate,
                f"there is already a {self._kind} `{printable(name)}` (of {known.origin})",
                hint="register yours under another name",
            )
        self._entries[name] = _Entry(source, origin or where.partition(":")[0].partition(".")[0], where)

    def names(self) -> tuple[str, ...]:
        """All names, in alphabetical order."""
        return tuple(sorted(self._entries))

    def in_order(self) -> tuple[T, ...]:
        """All objects: those of others, the latest first, then what is built in, in the table's order."""
        mine = [name for name, entry in self._entries.items() if entry.origin == BUILT_IN]
        others = [name for name in reversed(self._entries) if name not in set(mine)]
        return tuple(self[name] for name in (*others, *mine))

    def origin(self, name: str) -> str:
        """Who provides ``name``: ``"cimc"`` for what is built in.

        Raises:
            CimcError: ``unknown``.
        """
        if name not in self._entries:
            raise self.no_such(name)
        return self._entries[name].origin

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, name: str) -> T:
        """The object called ``name``.

        Raises:
            CimcError: ``unknown``; ``unfit``, when what others registered cannot be imported or is not of
                this kind.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise self.no_such(name)
        if not entry.loaded:
            entry.source = self._load(name, entry)
            entry.loaded = True
        item: T = entry.source  # type: ignore[assignment]
        return item

    def _load(self, name: str, entry: _Entry[T]) -> T:
        if entry.origin == BUILT_IN:  # an error there is a bug, and shows its traceback
            return entry.source.load() if isinstance(entry.source, Deferred) else entry.source
        try:
            item = entry.source.load() if isinstance(entry.source, Deferred) else entry.source
            why = self._fits(name, item) if self._fits else None
        except CimcError:
            raise
        except Exception as error:  # the code of others: anything may be wrong with it
            why = f"{type(error).__name__}: {printable(str(error), 300)}"
        if why is not None:
            raise self._error(
                self._unfit, f"{self._kind} `{printable(name)}` of {entry.origin} cannot be used: {why}"
            )
        return item

    def no_such(self, name: str, also: Iterable[str] = ()) -> CimcError:
        """The error for a name that nothing has; ``also`` are names that would have done as well."""
        known = sorted({*self._entries, *also})
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        return self._error(
            self._unknown,
            f"there is no {self._kind} `{printable(name)}`",
            hint=f"{meant}known: {', '.join(known)}{self._advice}",
        )

    @contextmanager
    def restored(self) -> Iterator[None]:
        """A context after which everything registered in it is gone again."""
        before = dict(self._entries)
        try:
            yield
        finally:
            self._entries = before


def _source(item: T | str | Deferred[T]) -> T | Deferred[T]:
    if not isinstance(item, str):
        return item
    module, colon, attribute = item.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"'{item}' is not 'module:attribute'")

    def load() -> T:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        loaded: T = found
        return loaded

    return Deferred(item, load)


def _where(source: object) -> str:
    """``module:attribute`` of a function or class; what a deferred object says; else what tells it apart."""
    if isinstance(source, Deferred):
        return source.where
    name = getattr(source, "__qualname__", None)
    return f"{source.__module__}:{name}" if name else f"{type(source).__module__}:#{id(source)}"
