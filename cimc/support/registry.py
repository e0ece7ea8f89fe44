"""Things by name: strategies, policies, passes, recognisers, rules, presets.

A registry holds objects of one kind.  What is built in is named by a table; what others add is registered at
run time, by a decorator or a call, or installed as an entry point.  An object may be given as text,
``"module:attribute"``: the module is imported when the name is first asked for, so that listing names costs
nothing.  Whose code an object is decides who is to blame for it (:func:`guarded`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar, overload

from cimc.errors import CimcError, PassError, printable
from cimc.support.keyword_options import check_keyword_options
from cimc.support.plugins.installed import installed
from cimc.support.plugins.origin import BUILT_IN, Origin, cause, loading, note, origin_of

T = TypeVar("T")
S = TypeVar("S")

WORD = re.compile(r"[0-9]*[A-Za-z_][A-Za-z0-9_-]*")
"""A name that can stand in a pipeline without quotes."""
DOTTED = re.compile(r"[0-9]*[A-Za-z_][A-Za-z0-9_.-]*")
"""A name that nothing but an option of the command line holds."""
_VALUES = ("true", "false")


@dataclass(frozen=True)
class Deferred(Generic[T]):
    """An object that is made when it is first asked for; ``where`` names its source, as no other's."""

    where: str
    load: Callable[[], T]


@dataclass
class _Entry(Generic[T]):
    source: T | Deferred[T]
    origin: Origin
    where: str
    loaded: bool = False
    installed: bool = False
    rival: Origin | None = None  # who else claims the name


@dataclass(frozen=True)
class _Owner:
    """Who is to blame for an object of a plug-in."""

    kind: str
    name: str
    origin: Origin
    error: type[CimcError]


_OWNERS: dict[str, _Owner] = {}
"""By where the object is from; only of plug-ins."""


class Registry(Generic[T]):
    """A table of objects of one kind, by name.

    Args:
        kind: what an object is, for messages, such as "placement strategy".
        built_in: name to object, text ``"module:attribute"`` or :class:`Deferred`.
        error: class of the errors below.
        unknown, duplicate, unfit: their codes.
        advice: ends the hint of an unknown name.
        fits: why an object cannot go by a name, or None where it can; asked when it is first looked up.
        group: entry-point group of installed plug-ins; read when a name is first looked up or listed.
        spelling: of the names that others may choose.
        reserved: names that stand for something else where users write them, and what that is.
        former: names that objects had before, and the names that they have now; both find them.
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
        group: str = "",
        spelling: re.Pattern[str] = WORD,
        reserved: Mapping[str, str] | None = None,
        former: Mapping[str, str] | None = None,
    ) -> None:
        self._kind, self._error, self._advice, self._fits = kind, error, advice, fits
        self._unknown, self._duplicate, self._unfit = unknown, duplicate, unfit
        self._group = group
        self._spelling, self._reserved = spelling, dict(reserved or {})
        self._former = dict(former or {})
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
            origin: who provides it, for listings and messages; if not given, the plug-in that is being
                loaded, or else the package of the object.

        Raises:
            CimcError: ``duplicate``, when something else has that name; ``unfit``, for one that nobody can
                write.
        """
        if not isinstance(name, str):  # a decorator without its parentheses, say
            raise self._error(
                self._unfit,
                f"a {self._kind} is registered under a name, and `{printable(repr(name))}` is no text",
                hint="the name comes first: register(NAME, object), or register(NAME) before a definition",
            )
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
        module = _module_of(source)
        found = Origin(origin, module=module) if origin else origin_of(module)
        if found != BUILT_IN:
            self._check_name(name, found)
        if known is not None and known.where != where and known.source != source:
            raise self._taken(name, known.origin, found)
        self._entries[name] = _Entry(source, found, where)

    def _check_name(self, name: str, origin: Origin) -> None:
        """Refuse a name under which nobody could reach what ``origin`` brings."""
        if name in self._reserved:
            raise self._error(
                self._duplicate,
                f"`{printable(name)}` is no name for the {self._kind} of {origin}: "
                f"it stands for {self._reserved[name]}",
                hint="register yours under another name",
            )
        if not self._spelling.fullmatch(name) or name in _VALUES:
            dots = " and dots" if self._spelling is DOTTED else ""
            raise self._error(
                self._unfit,
                f"`{printable(name)}` is no name for the {self._kind} of {origin}: nobody could write it",
                hint=f"names consist of letters (of ASCII), digits, _, -{dots}, and are no numbers",
            )

    def check_reserved(self, name: str) -> None:
        """Refuse to read a reserved ``name`` as what it stands for, where something installed has it, too.

        Raises:
            CimcError: ``duplicate``.
        """
        if name in self._reserved and name in self:
            self._check_name(name, self._entries[name].origin)

    def _taken(self, name: str, first: Origin, second: Origin) -> CimcError:
        if BUILT_IN in (first, second):
            hint = f"`{printable(name)}` comes with {BUILT_IN}: register yours under another name"
        else:
            hint = "register yours under another name, or leave out one of the two"
        return self._error(
            self._duplicate,
            f"there is already a {self._kind} `{printable(name)}` (of {first}); {second} brings another one",
            hint=hint,
        )

    def _all(self) -> dict[str, _Entry[T]]:
        """The entries, with those of installed plug-ins, which are found at the first question."""
        if self._group:
            group, self._group = self._group, ""
            for point, origin in installed(group):
                self._find(point.name, Deferred(point.value.replace(" ", ""), point.load), origin)
        return self._entries

    def _find(self, name: str, source: Deferred[T], origin: Origin) -> None:
        """Add what is installed.  A name that is taken is an error where it is used, and nowhere else."""
        known = self._entries.get(name)
        if known is None:
            self._entries[name] = _Entry(source, origin, source.where, installed=True)
        elif known.where != source.where:
            known.rival = origin

    def names(self) -> tuple[str, ...]:
        """All names, in alphabetical order."""
        return tuple(sorted(self._all()))

    def in_order(self, named: Collection[str] = ()) -> tuple[T, ...]:
        """All objects: those of others, the latest first, then what is built in, in the table's order.

        Those that are merely installed are left out but for those ``named``.
        """
        entries = self._all()
        mine = [name for name, entry in entries.items() if entry.origin == BUILT_IN]
        others = [name for name, e in reversed(entries.items()) if e.origin != BUILT_IN]
        chosen = [name for name in others if name in named or not entries[name].installed]
        return tuple(self[name] for name in (*chosen, *mine))

    def origin(self, name: str) -> str:
        """Who provides ``name``: ``"cimc"`` for what is built in.

        Raises:
            CimcError: ``unknown``.
        """
        if name not in self:
            raise self.no_such(name)
        return str(self._entries[self.current(name)].origin)

    def at_rest(self) -> tuple[str, ...]:
        """Names that installed plug-ins bring and nobody has used yet, in alphabetical order."""
        return tuple(name for name in self.names() if self._waits(self._entries[name]))

    @staticmethod
    def _waits(entry: _Entry[T]) -> bool:
        return entry.installed and not entry.loaded

    def current(self, name: str) -> str:
        """``name``, or what is called so now."""
        return self._former.get(name, name) if name not in self._all() else name

    def __contains__(self, name: object) -> bool:
        return name in self._all() or name in self._former

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._all())

    def __getitem__(self, name: str) -> T:
        """The object called ``name``.

        Raises:
            CimcError: ``unknown``; ``duplicate``, when two plug-ins bring it; ``unfit``, when what others
                registered cannot be imported or is not of this kind.
        """
        name = self.current(name)
        entry = self._all().get(name)
        if entry is None:
            raise self.no_such(name)
        if entry.rival is not None:
            raise self._taken(name, entry.origin, entry.rival)
        if entry.installed:
            self._check_name(name, entry.origin)
        if not entry.loaded:
            entry.source = self._load(name, entry)
            entry.loaded = True
        note(entry.origin)
        item: T = entry.source  # type: ignore[assignment]
        return item

    def check_options(self, name: str, options: Mapping[str, object], also: str = "") -> None:
        """Refuse options that the function called ``name`` does not take; ``also`` ends the hint.

        Raises:
            PassError: ``mapping.unknown-option`` or ``mapping.bad-option``.
        """
        function: Any = self[name]
        check_keyword_options(self._kind, name, function, options, also)

    def note(self, name: str, item: object) -> None:
        """Say that ``item`` is used, if it is what goes by ``name`` here."""
        entry = self._entries.get(name)
        if entry is not None and entry.source is item:
            note(entry.origin)

    def _load(self, name: str, entry: _Entry[T]) -> T:
        if entry.origin == BUILT_IN:  # an error there is a bug, and shows its traceback
            return entry.source.load() if isinstance(entry.source, Deferred) else entry.source
        cause_of: BaseException | None = None
        try:
            with loading(entry.origin):
                item = entry.source.load() if isinstance(entry.source, Deferred) else entry.source
            why = self._fits(name, item) if self._fits else None
        except CimcError as error:
            error.add_note(f"in {self._kind} {printable(name)} of {entry.origin}")
            raise
        except (Exception, SystemExit) as error:  # the code of others: anything may be wrong with it
            why, cause_of = cause(error), error
        if why is not None:
            raise self._error(
                self._unfit, f"{self._kind} `{printable(name)}` of {entry.origin} cannot be used: {why}"
            ) from cause_of
        _OWNERS[_where(item)] = _Owner(self._kind, name, entry.origin, self._error)
        return item

    def no_such(self, name: str, also: Iterable[str] = ()) -> CimcError:
        """The error for a name that nothing has; ``also`` are names that would have done as well."""
        known = sorted({*self._all(), *also})
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
        before = dict(self._all())
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


def _module_of(source: object) -> str:
    """The module of a function or class, or what a deferred object says; "" for anything else."""
    if isinstance(source, Deferred):
        return source.where.partition(":")[0]
    return str(getattr(source, "__module__", "")) if hasattr(source, "__qualname__") else ""


def _where(source: object) -> str:
    """``module:attribute`` of a function or class; what a deferred object says; else what tells it apart."""
    if isinstance(source, Deferred):
        return source.where
    name = getattr(source, "__qualname__", None)
    return f"{source.__module__}:{name}" if name else f"{type(source).__module__}:#{id(source)}"


@contextmanager
def guarded(item: object, *expected: type[Exception]) -> Iterator[None]:
    """What goes wrong inside of an object of a plug-in is an error of that plug-in, and no bug of cimc.

    That it ends the process is wrong, too: ``sys.exit(0)`` would look like a success.  ``expected``
    exceptions, and errors of cimc, pass as they are.

    Raises:
        CimcError: ``plugin.failed``.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        owner = _OWNERS.get(_where(item))
        if owner is None or isinstance(error, (CimcError, MemoryError, *expected)):
            raise
        raise owner.error(
            "plugin.failed",
            f"{owner.kind} `{printable(owner.name)}` of {owner.origin} failed: {cause(error)}",
        ) from error


def is_guest(item: object) -> bool:
    """Whether a function or class was brought by a plug-in, and used."""
    return _where(item) in _OWNERS
