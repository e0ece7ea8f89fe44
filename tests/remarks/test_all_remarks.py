"""Remarks together: what a program stores, what plug-ins add, and that nothing else passes between passes."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from cimc.errors import CimcError, PassError, ProgramError
from cimc.ir.context import CompilerContext, compiler_context
from cimc.ir.text import new_context
from cimc.isa.artifact import load_program, save_program
from cimc.isa.listing import arrays_of, format_program, parse_program
from cimc.isa.program import Header, Program
from cimc.remarks import (
    REMARKS,
    ChipAssignment,
    ConverterRemarks,
    GroupingRemarks,
    LayerRanges,
    PlacementRemarks,
    QuantisationRemarks,
    Remark,
    Remarks,
    ScheduleRemarks,
    ShardingRemarks,
)
from cimc.transforms.pipeline import Pipeline
from tests.fuzz.hostile_programs import load_signed, write_signed
from tests.remarks.strategies import TYPES, remarks

ROOT = Path(__file__).parents[2]
PLACED = PlacementRemarks(
    "greedy",
    0,
    "LPT",
    {"moves": 3},
    512.0,
    256.0,
    1.0,
    9.5,
    0.0,
    22,
    16,
    (),
    (),
    chips=ChipAssignment("load"),
)  # fmt: skip


@dataclass(frozen=True)
class UnaryRemarks(Remark):
    """Of a plug-in."""

    name: ClassVar[str] = "count-unary"
    found: int


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    with REMARKS.restored():
        REMARKS.register("count-unary", UnaryRemarks)
        yield


@given(remarks())
def test_stored_remarks_come_back(found: Remarks) -> None:
    text = json.dumps(found.to_json(), sort_keys=True, allow_nan=False)
    again = Remarks.from_json(json.loads(text))
    assert again == found
    assert json.dumps(again.to_json(), sort_keys=True) == text
    assert pickle.loads(pickle.dumps(found)) == found
    for kind in TYPES:
        each = found.of(kind)
        assert each is None or isinstance(each, kind)
        assert (each is None) == (each not in list(found))
    assert repr(found).startswith("<Remarks ")
    assert len(repr(found)) < 200


def test_the_stored_form_is_an_entry_or_more_a_pass() -> None:
    layer = LayerRanges("w", "calibrated", 1, 4, 20, 31.5, 0.0)
    made = Remarks().having(PLACED).having(ConverterRemarks((layer,))).having(ShardingRemarks(()))
    made = made.having(ScheduleRemarks({3: 64}))
    stored = made.to_json()
    assert set(stored) == {"placement", "residency", "chips", "adc_ranges", "pooling", "scratchpad"}
    assert stored["placement"]["gap"] == 1.0
    assert not {"residency", "chips", "dense", "copy_arrays"} & set(stored["placement"])
    assert stored["chips"] == {"policy": "load"}
    assert stored["scratchpad"] == {"3": 64}
    assert made.placement is PLACED
    assert made.of(PlacementRemarks) is PLACED
    assert made.quantisation is None
    assert made.having(ScheduleRemarks({})).schedule == ScheduleRemarks({})  # the later one counts


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        ({"placement": []}, "placement is a list instead of an object"),
        ({"placement": None}, "placement is null instead of an object"),
        ({"chips": {"policy": "load"}}, "placement lacks 'strategy'"),
        ({"placement": {**PLACED.mapping(), "residency": []}}, "placement has no place for 'residency'"),
        ({"placement": {**PLACED.mapping(), "gap": float("nan")}, "residency": []}, "placement.gap: nan"),
        (
            {"placement": {**PLACED.mapping(), "items": 1 << 60}, "residency": []},
            "placement.items: an integer",
        ),
        ({"pooling": {}}, "sharding.pooling is an object instead of a list"),
        ({"scratchpad": {"3": "64"}}, "schedule.scratchpad['3'] is a text instead of an integer"),
        ({"frontend": {}}, "frontend lacks 'nodes'"),
        ({"of-a-plug-in": {"a": [float("inf")]}}, "of-a-plug-in"),
    ],
)
def test_what_no_pass_can_have_said_is_refused(stored: dict[str, Any], why: str) -> None:
    with pytest.raises(ProgramError) as refused:
        Remarks.from_json(stored)
    assert refused.value.code == "program.bad-remark"
    assert why in refused.value.message


def test_programs_from_before_work_was_counted_load() -> None:
    frontend = {
        "nodes": 0, "chip": 0, "folded": 0, "recognised": {}, "host": [], "segments": 0, "batch": None,
        "tables": [], "linear": [],
    }  # fmt: skip
    found = Remarks.from_json({"frontend": frontend, "misses": []})
    assert found.recognition is not None
    assert found.recognition.work is None
    assert found.to_json() == {"frontend": frontend, "misses": []}


def test_those_of_plug_ins_are_typed_where_these_are_loaded_and_json_elsewhere() -> None:
    made = Remarks().having(UnaryRemarks(3))
    assert made.of(UnaryRemarks) == UnaryRemarks(3)
    assert made.to_json() == {"count-unary": {"found": 3}}
    again = Remarks.from_json(made.to_json())
    assert again == made
    assert again.plain == {"count-unary": {"found": 3}}
    assert Remarks().of(UnaryRemarks) is None
    with pytest.raises(ProgramError, match=r"count-unary\.found is a text instead of an integer"):
        Remarks.from_json({"count-unary": {"found": "3"}}).of(UnaryRemarks)


@pytest.mark.parametrize("name", ["placement", "residency", "cut", "canonicalize"])
def test_names_of_cimc_are_taken(name: str) -> None:
    with pytest.raises(PassError) as refused:
        REMARKS.register(name, UnaryRemarks)
    assert refused.value.code == "plugin.duplicate"


def test_remarks_of_plug_ins_are_checked_when_they_are_made() -> None:
    @dataclass(frozen=True)
    class Unregistered(Remark):
        name: ClassVar[str] = "nobody"

    @dataclass(frozen=True)
    class Impostor(Remark):
        name: ClassVar[str] = "count-unary"

    @dataclass
    class Changing(Remark):
        name: ClassVar[str] = "changing"

    with pytest.raises(PassError) as refused:
        Remarks().having(Unregistered())
    assert refused.value.code == "pass.bad-remark"
    with pytest.raises(PassError, match="is a UnaryRemarks, not a Impostor"):
        Remarks().having(Impostor())
    REMARKS.register("changing", Changing)
    with pytest.raises(PassError, match="no frozen dataclass"):
        Remarks().having(Changing())

    @dataclass(frozen=True)
    class Listing(Remark):
        name: ClassVar[str] = "listing"
        found: list[int]

    REMARKS.register("listing", Listing)
    with pytest.raises(PassError, match=r"listing.found has the type list\[int\], which no record has"):
        Remarks().having(Listing([1]))
    for no_remark in ("text", None, UnaryRemarks):
        with pytest.raises(PassError, match="is no remark") as refused:
            Remarks().having(no_remark)  # type: ignore[arg-type]
        assert refused.value.code == "pass.bad-remark"
    for wrong in ("three", float("nan"), object(), 1 << 60):
        with pytest.raises(PassError) as refused:
            Remarks().having(UnaryRemarks(wrong))  # type: ignore[arg-type]
        assert refused.value.code == "pass.bad-remark"


def test_a_pass_reads_by_type_what_another_said() -> None:
    @dataclass(frozen=True)
    class Says(ModulePass):
        name = "says"

        def apply(self, ctx: Context, op: ModuleOp) -> None:
            compiler_context(ctx, self.name).remark(UnaryRemarks(3))
            compiler_context(ctx, self.name).remark(GroupingRemarks("frequency", 0, ()))

    @dataclass(frozen=True)
    class Reads(ModulePass):
        name = "reads"

        def apply(self, ctx: Context, op: ModuleOp) -> None:
            data = compiler_context(ctx, self.name)
            said, grouped = data.remarks.of(UnaryRemarks), data.remarks.grouping
            assert said is not None
            assert grouped is not None
            data.notes.append(f"{said.found} {grouped.policy}")

    ctx = new_context()
    Pipeline((Says(), Reads())).run(ModuleOp([]), ctx)
    assert ctx.notes == ["3 frequency"]
    copy = ctx.clone()
    copy.remark(QuantisationRemarks(()))
    assert ctx.remarks.quantisation is None


def test_remarks_are_frozen_and_typed_to_the_last_field() -> None:
    for kind in (*TYPES, Remarks):
        assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
        for name, hint in get_type_hints(kind).items():
            assert "Any" not in str(hint), (kind, name)
            assert "object" not in str(hint), (kind, name)
    named = {hint for f, hint in get_type_hints(Remarks).items() if f != "others"}
    assert named == {kind | None for kind in TYPES}
    assert all(f.name == "others" or f.default is None for f in fields(Remarks))


def test_no_module_writes_or_reads_a_fact_without_a_type() -> None:
    """``facts`` is an attribute of programs, for users of before, and of nothing else."""
    found = set()
    for path in sorted((ROOT / "cimc").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and node.attr == "facts"
                and isinstance(node.value, ast.Name | ast.Attribute)
            ):
                found.add(f"{path.relative_to(ROOT)}: {ast.unparse(node)}")
    assert found == {"cimc/isa/listing.py: self.facts"}  # the section .facts of the text
    context = {f.name: str(f.type) for f in fields(CompilerContext)}
    assert context["remarks"] == "Remarks"
    untyped = ("dict[str, Any]", "dict[str, object]")
    assert not [name for name, hint in context.items() if hint.startswith(untyped)]


def test_errors_have_the_file_they_are_in(tmp_path: Path) -> None:

    program = Program(
        Header("m", "d", "t", "td", "{}", "p", 0), (), (), np.zeros(1, np.uint8), {}, Remarks().having(PLACED)
    )
    save_program(program, tmp_path / "m.cimc")
    assert load_program(tmp_path / "m.cimc").remarks.placement == PLACED
    text, arrays = load_signed(tmp_path / "m.cimc")
    write_signed(tmp_path / "bad.cimc", text.replace('"gap":1.0', '"gap":"1.0"'), arrays)
    with pytest.raises(CimcError) as refused:
        load_program(tmp_path / "bad.cimc")
    assert refused.value.code == "program.bad-remark"
    assert str(refused.value).startswith(f"{tmp_path / 'bad.cimc'}: remark placement.gap is a text")
    assert parse_program(format_program(program), arrays_of(program)).remarks == program.remarks
    listing = format_program(program).replace('"gap":1.0', '"gap":"1.0"')
    with pytest.raises(ProgramError) as refused:
        parse_program(listing, arrays_of(program), "bad.s")
    assert refused.value.code == "program.bad-remark"
    assert str(refused.value).startswith("bad.s: remark placement.gap is a text")


def test_facts_of_before_are_a_read_only_view() -> None:
    program = Program(Header("m", "d", "t", "td", "{}", "p", 0), (), (), np.zeros(0, np.uint8))
    program.remarks = Remarks().having(PLACED).having(UnaryRemarks(3))
    with pytest.warns(DeprecationWarning, match="remarks.placement.gap") as warned:
        facts = program.facts
    assert warned[0].filename == __file__
    assert facts["placement"]["gap"] == 1.0
    assert dict(facts) == program.remarks.to_json()
    with pytest.raises(TypeError):
        facts["placement"] = {}  # type: ignore[index]
    facts["placement"]["gap"] = 2.0
    assert program.remarks.placement is not None
    assert program.remarks.placement.gap == 1.0
