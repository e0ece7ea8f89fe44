"""Every remark becomes JSON and comes back; JSON that no pass can have written is refused."""

from __future__ import annotations

import inspect
import json
from dataclasses import MISSING, fields
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cimc.remarks
from cimc.errors import ProgramError
from cimc.remarks import HostWork, Remark
from cimc.remarks.record import Misfit, Record, json_key, json_of, record_of
from tests.remarks.strategies import TYPES, of_type

RECORDS = [
    kind
    for _, kind in inspect.getmembers(cimc.remarks, inspect.isclass)
    if (issubclass(kind, Record) or kind is HostWork) and kind is not Remark
]


def test_there_are_records() -> None:
    assert {*TYPES, HostWork} < set(RECORDS)
    assert len(RECORDS) > 20


@pytest.mark.parametrize("kind", RECORDS)
@given(data=st.data())
def test_json_comes_back(kind: type, data: st.DataObject) -> None:
    record = data.draw(of_type(kind))
    text = json.dumps(json_of(record), allow_nan=False)
    assert record_of(kind, json.loads(text), "it") == record
    assert json.dumps(json_of(record_of(kind, json.loads(text), "it"))) == text
    if issubclass(kind, Remark):
        assert kind.from_json(json.loads(text)) == record
        assert json_of(record) == record.to_json()


@pytest.mark.parametrize("kind", RECORDS)
@given(data=st.data())
def test_records_print_as_one_short_line(kind: type, data: st.DataObject) -> None:
    record = data.draw(of_type(kind))
    if isinstance(record, Record):
        assert repr(record).startswith(f"<{kind.__name__} ")
        assert repr(record).isprintable()
        assert len(repr(record)) < 400


WRONG: tuple[Any, ...] = (
    None, True, 1, 1 << 53, -(1 << 53), 10**400, 0.5, float("nan"), float("inf"), "x",
    [], [[]], {}, {"a": {}},
)  # fmt: skip


def _takes(hint: Any, value: Any) -> bool:
    """Whether a field of a type may hold a value of :data:`WRONG`: said again, and plainly."""
    inner = get_args(hint)
    if type(None) in inner:
        return value is None or any(_takes(each, value) for each in inner if each is not type(None))
    if get_origin(hint) is tuple:
        return bool(value == [])
    if inner:
        return bool(value == {})
    if hint is float:
        return type(value) in (int, float) and -(1 << 53) < value < 1 << 53
    return type(value) is hint and (hint is not int or abs(value) < 1 << 53)


@pytest.mark.parametrize("kind", RECORDS)
@given(data=st.data())
def test_values_of_another_type_are_refused(kind: type, data: st.DataObject) -> None:
    found = json_of(data.draw(of_type(kind)))
    hints = get_type_hints(kind)
    with pytest.raises(Misfit, match="no place for 'other'"):
        record_of(kind, {**found, "other": 1}, "it")
    for field in fields(kind):
        key = json_key(field)
        for value in WRONG:
            if not _takes(hints[field.name], value):
                with pytest.raises(Misfit, match=rf"^it\.{key}"):
                    record_of(kind, {**found, key: value}, "it")
        without = {name: value for name, value in found.items() if name != key}
        if field.default is MISSING:
            with pytest.raises(Misfit, match=f"lacks '{key}'"):
                record_of(kind, without, "it")
        else:
            assert getattr(record_of(kind, without, "it"), field.name) == field.default


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        ([], "placement is a list instead of an object"),
        ({"strategy": "greedy"}, "placement lacks 'seed'"),
        ({"strategy": "\x1b[31m", "seed": "1"}, "placement.seed is a text instead of an integer"),
        ({"\x1b[31m" * 99: 1}, "no place for"),
    ],
)
def test_the_error_says_where(stored: Any, why: str) -> None:
    with pytest.raises(ProgramError) as refused:
        cimc.remarks.PlacementRemarks.from_json(stored)
    assert refused.value.code == "program.bad-remark"
    assert why in refused.value.message
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("key", ["-1", "01", "x", "", "1" * 5000, "１"])
def test_numbers_of_tiles_are_written_one_way(key: str) -> None:
    with pytest.raises(ProgramError, match="is no number"):
        cimc.remarks.ScheduleRemarks.from_json({"scratchpad": {key: 1}})
    assert cimc.remarks.ScheduleRemarks.from_json({"scratchpad": {"10": 1}}).scratchpad == {10: 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1 << 53, object(), b"", {1, 2}])
def test_what_is_no_json_is_refused_when_it_is_written(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        json_of(cimc.remarks.ClippedInput("layer", value))
