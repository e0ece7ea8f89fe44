"""The remarks of a compilation together, and the form in which a program stores them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_type_hints

from cimc.errors import PassError, ProgramError, printable
from cimc.remarks.allocation_remarks import AllocationRemarks
from cimc.remarks.corpus_remarks import CorpusRemarks
from cimc.remarks.model_remarks import RecognitionRemarks, SimplificationRemarks, SourceRemarks
from cimc.remarks.placement_remarks import PlacementRemarks, ScheduleRemarks
from cimc.remarks.record import json_key, json_of
from cimc.remarks.remark import BESIDE, Remark, bad_remark
from cimc.remarks.search_remarks import SearchRemarks
from cimc.remarks.table_remarks import GroupingRemarks, ReplicationRemarks, ResidenceRemarks
from cimc.remarks.weight_remarks import ConverterRemarks, QuantisationRemarks, ShardingRemarks
from cimc.support.registry import Registry
from cimc.support.shown import Shown, some

R = TypeVar("R", bound=Remark)


@dataclass(frozen=True, repr=False)
class Remarks(Shown):
    """What passes found out and decided; ``None`` for a pass that did not run.

    Attributes:
        source: of the import, where weights are missing.
        simplification: of ``canonicalize``.
        recognition: of ``outline-host``.
        quantisation: of ``quantize``.
        converters: of ``choose-adc-steps``.
        allocation: of ``allocate``.
        sharding: of ``shard``.
        grouping: of ``group``.
        residence: of ``assign-memory``.
        replication: of ``replicate``.
        placement: of ``place``.
        schedule: of ``schedule``.
        search: of a search, what was tried.
        corpus: of ``lower``, where a corpus is searched.
        others: of passes of plug-ins, as JSON text by name, in the order of the names.
    """

    source: SourceRemarks | None = None
    simplification: SimplificationRemarks | None = None
    recognition: RecognitionRemarks | None = None
    quantisation: QuantisationRemarks | None = None
    allocation: AllocationRemarks | None = None
    converters: ConverterRemarks | None = None
    sharding: ShardingRemarks | None = None
    grouping: GroupingRemarks | None = None
    residence: ResidenceRemarks | None = None
    replication: ReplicationRemarks | None = None
    placement: PlacementRemarks | None = None
    schedule: ScheduleRemarks | None = None
    search: SearchRemarks | None = None
    corpus: CorpusRemarks | None = None
    others: tuple[tuple[str, str], ...] = ()

    def of(self, kind: type[R]) -> R | None:
        """The remark of a type, of cimc or of a plug-in; ``None`` where its pass did not run.

        Raises:
            ProgramError: ``program.bad-remark``, where an entry of that name is something else.
        """
        attribute = _attributes().get(kind)
        if attribute is not None:
            return cast("R | None", getattr(self, attribute))
        text = dict(self.others).get(kind.name)
        return None if text is None else kind.from_json(json.loads(text))

    @property
    def plain(self) -> dict[str, Any]:
        """The remarks of plug-ins as plain JSON, by name: for whoever has not loaded them."""
        return {name: json.loads(text) for name, text in self.others}

    def having(self, remark: Remark) -> Remarks:
        """These, and ``remark`` instead of one of its type.

        Raises:
            PassError: ``pass.bad-remark``, for one of a plug-in that is not registered, or is no JSON.
        """
        attribute = _attributes().get(type(remark))
        if attribute is not None:
            changed: dict[str, Any] = {attribute: remark}
            return replace(self, **changed)
        name, text = _checked(remark)
        return replace(self, others=tuple(sorted({**dict(self.others), name: text}.items())))

    def __iter__(self) -> Iterator[Remark]:
        """Those of cimc's own passes that ran."""
        return (found for name in _attributes().values() if (found := getattr(self, name)) is not None)

    def to_json(self) -> dict[str, Any]:
        """An entry or more a pass: the form in which a program stores them."""
        found: dict[str, Any] = {}
        for each in self:
            entries = _entries(type(each))
            whole = each.to_json()
            found |= {entries[key]: whole.pop(key) for key in list(whole) if key in entries}
            if _has_own(type(each)):
                found[each.name] = whole
        return found | self.plain

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Remarks:
        """What :meth:`to_json` gave; of names that are not cimc's, plain JSON is kept.

        Raises:
            ProgramError: ``program.bad-remark``: an entry that no pass can have written.
        """
        left = dict(stored)
        made: dict[str, Any] = {}
        for kind, attribute in _attributes().items():
            made[attribute] = _taken(kind, left)
        others = []
        for name, value in sorted(left.items()):
            try:
                others.append((name, _text(value)))
            except ValueError as error:
                raise bad_remark(f"{printable(name, 40)}: {error}") from None
        return cls(**made, others=tuple(others))

    def _brief(self) -> str:
        names = [name for name in _attributes().values() if getattr(self, name) is not None]
        return some([*names, *(name for name, _ in self.others)]) or "of no pass"


@cache
def _attributes() -> dict[type[Remark], str]:
    """The attribute of each type of remark."""
    hints = get_type_hints(Remarks)
    return {get_args(hints[f.name])[0]: f.name for f in fields(Remarks) if f.name != "others"}


def _entries(kind: type[Remark]) -> dict[str, str]:
    """The name of the entry for each field that has one of its own, by the field's key."""
    found = {json_key(f): f.metadata.get(BESIDE) for f in fields(cast(Any, kind))}
    return {key: str(entry) for key, entry in found.items() if entry is not None}


def _has_own(kind: type[Remark]) -> bool:
    """Whether there are fields that stand under the name of the remark itself."""
    return len(_entries(kind)) < len(fields(cast(Any, kind)))


def _taken(kind: type[R], left: dict[str, Any]) -> R | None:
    """A remark from its entries, taken out of ``left``; ``None`` where there are none.

    Raises:
        ProgramError: ``program.bad-remark``.
    """
    found: dict[str, Any] = {}
    entries, any_entry = _entries(kind), False
    if _has_own(kind) and kind.name in left:
        any_entry, own = True, left.pop(kind.name)
        if type(own) is not dict:
            return kind.from_json(own)  # which refuses it
        if twice := sorted(set(own) & set(entries)):
            raise bad_remark(f"{kind.name} has no place for '{twice[0]}', which stands beside it")
        found |= own
    for key, entry in entries.items():
        if entry in left:
            any_entry, found[key] = True, left.pop(entry)
    return kind.from_json(found) if any_entry else None


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _is_remark(name: str, item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, Remark)):
        return "it is no subclass of cimc.remarks.Remark"
    params = getattr(item, "__dataclass_params__", None)
    if not is_dataclass(item) or params is None or not params.frozen:
        return "it is no frozen dataclass"
    return None if item.name == name else f"the class calls itself `{item.name}`"


def _names() -> dict[str, type[Remark]]:
    """The names of all entries that cimc's own remarks have in a program."""
    names = {kind: [kind.name] * _has_own(kind) + list(_entries(kind).values()) for kind in _attributes()}
    return {name: kind for kind, found in names.items() for name in found}


REMARKS: Registry[type[Remark]] = Registry("remark", _names(), unknown="pass.bad-remark", fits=_is_remark)
"""Types of remarks by the name of their entry in a program."""

register_remark = REMARKS.register


def _checked(remark: Remark) -> tuple[str, str]:
    """Name and JSON of the remark of a plug-in, which reads back as the same.

    Raises:
        PassError: ``pass.bad-remark``.
    """
    kind = type(remark)
    if not isinstance(remark, Remark):
        raise PassError(
            "pass.bad-remark",
            f"{printable(repr(remark), 40)} is no remark",
            hint="leave an object of a frozen dataclass that derives from cimc.Remark",
        )
    if REMARKS[kind.name] is not kind:
        raise PassError(
            "pass.bad-remark",
            f"remark `{printable(kind.name)}` is a {REMARKS[kind.name].__name__}, not a {kind.__name__}",
            hint="register it under the name of its pass: @cimc.register_remark(NAME)",
        )
    try:
        text = _text(json_of(remark.to_json()))
        same = kind.from_json(json.loads(text)) == remark
    except (TypeError, ValueError, ProgramError) as error:
        raise PassError("pass.bad-remark", f"remark `{printable(kind.name)}`: {error}") from None
    if not same:
        raise PassError(
            "pass.bad-remark", f"remark `{printable(kind.name)}` does not come back from its JSON"
        )
    return kind.name, text
