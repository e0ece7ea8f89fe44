"""Any remark: strategies made of the types of the fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from cimc.remarks import Remark, Remarks
from cimc.remarks.all_remarks import _attributes

TYPES: list[type[Remark]] = list(_attributes())
"""The remarks of cimc's own passes."""

_WHOLE = st.integers(1 - 2**53, 2**53 - 1)
_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: _WHOLE,
    float: st.floats(allow_nan=False, allow_infinity=False) | _WHOLE,
    str: st.text(st.characters(codec="utf-8"), max_size=8),
    NoneType: st.none(),
}


@cache
def of_type(hint: Any) -> st.SearchStrategy[Any]:
    """Values of the type of a field."""
    inner = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return st.one_of([of_type(each) for each in inner])
    if get_origin(hint) is tuple:
        return st.lists(of_type(inner[0]), max_size=2).map(tuple)
    if get_origin(hint) is Mapping:
        keys = st.integers(0, 10**6) if inner[0] is int else _SCALARS[str]
        return st.dictionaries(keys, of_type(inner[1]), max_size=2)
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{f.name: of_type(hints[f.name]) for f in fields(hint)})
    return _SCALARS[hint]


def remarks() -> st.SearchStrategy[Remarks]:
    """Those of any passes."""
    some = st.lists(st.sampled_from(TYPES), max_size=2).flatmap(lambda kinds: st.tuples(*map(of_type, kinds)))

    def together(found: tuple[Remark, ...]) -> Remarks:
        made = Remarks()
        for each in found:
            made = made.having(each)
        return made

    return some.map(together)
