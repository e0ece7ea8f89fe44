"""Matrices and what was decided about them: asked for by name, given or refused with the pass to run."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from cimc.errors import PassError
from cimc.ir import cim
from cimc.ir.block_fields import ARRAY, TILE
from cimc.ir.residence import DRAM_UNPLACED, SRAM_ARRAY
from cimc.ir.tensor_store import TensorStore
from cimc.ir.text import new_context, parse_ir, print_ir

HEAD = """
cim.weights "w" rows 6 cols 4 bits 8 data @w.int scales @w.scales inputs 7 signed 1
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
"""
SHARDS = "cim.shards @t slices 2 blocks <[[0, 2, 0, 4], [2, 2, 0, 4], [4, 2, 0, 4]]>\n"
MEMORY = "cim.residence @t rram 1 sram 1 dram 1 memory <[0, 1, 2]>\n"
COPIES = "cim.replicas @t of <[0]>\n"
PLACES = "cim.placement @t blocks <[[9, 1, 8], [4, -2, 0], [-3, -1, 0]]> copies <[[7, 0, 0]]>\n"


def matrices(*rest: str) -> tuple[cim.WeightsOp, cim.TableOp]:
    module = parse_ir(HEAD + "".join(rest), new_context())
    weights, table = cim.matrices_of(module)
    assert isinstance(weights, cim.WeightsOp)
    assert isinstance(table, cim.TableOp)
    return weights, table


def test_what_was_not_decided_names_the_pass() -> None:
    weights, table = matrices()
    for ask, code, name in (
        (weights.shards, "pass.needs-shard", "cim.shards"),
        (weights.adc, "pass.needs-choose-adc-steps", "cim.adc"),
        (table.pooling, "pass.needs-shard", "cim.pooling"),
        (table.placement, "pass.needs-place", "cim.placement"),
    ):
        with pytest.raises(PassError, match=f"has no {name} yet, which pass") as error:
            ask()
        assert error.value.code == code
    assert (weights.inputs, weights.kind, table.kind) == ((7, True), "dense", "table")
    assert table.slots(TensorStore()) is None


def test_each_decision_names_a_pass_that_exists() -> None:
    from cimc.transforms.passes import PASSES

    assert {kind.PASS for kind in cim.DECISIONS} <= set(PASSES)
    assert all(f"pass.needs-{kind.PASS}" == kind.MISSING for kind in cim.DECISIONS)


def test_decisions_come_once_and_in_order() -> None:
    _, table = matrices(SHARDS)
    table.refuse(cim.ReplicasOp, cim.PlacementOp)
    with pytest.raises(PassError, match=r"@t has its cim.shards already") as error:
        table.refuse(cim.PlacementOp, cim.ShardsOp)
    assert error.value.code == "pass.decided-already"
    table.decide(cim.PoolingOp("t", 3, 1))
    assert [op.name for op in table.decisions()] == ["cim.shards", "cim.pooling"]


def test_the_block_table_says_what_is_decided_so_far() -> None:
    store = TensorStore()
    _, table = matrices(SHARDS)
    blocks = table.block_table(store)
    assert blocks.tolist() == [[row, 2, 0, 4, -1, -1, -1] for row in (0, 2, 4)]
    marked = matrices(SHARDS, MEMORY)[1].block_table(store)
    assert marked[:, TILE].tolist() == [-1, -1, DRAM_UNPLACED]
    assert marked[:, ARRAY].tolist() == [-1, SRAM_ARRAY, -1]
    copied = matrices(SHARDS, MEMORY, COPIES)[1]
    assert copied.replica_table(store).tolist() == [[0, -1, -1, -1]]
    placed = matrices(SHARDS, MEMORY, COPIES, PLACES)[1]
    assert placed.block_table(store)[:, TILE:].tolist() == [[9, 1, 8], [4, -2, 0], [-3, -1, 0]]
    assert placed.replica_table(store).tolist() == [[0, 7, 0, 0]]
    assert placed.block_table(store).dtype == placed.replica_table(store).dtype == np.int32


def test_the_generic_form_round_trips_too() -> None:
    from io import StringIO

    from xdsl.printer import Printer

    module = parse_ir(HEAD + SHARDS + MEMORY + COPIES + PLACES, new_context())
    stream = StringIO()
    Printer(stream=stream, print_generic_format=True).print_op(module)
    again = parse_ir(stream.getvalue(), new_context())
    assert print_ir(again) == print_ir(module)


def test_names_of_stored_arrays_are_found() -> None:
    text = HEAD + 'cim.row_order @t slots <@"t.slots" [6] digest "00" {"kept": 6}>\n'
    module = parse_ir(text, new_context())
    assert isinstance(module, ModuleOp)
    assert [name for op in module.walk() for name in cim.stored_names(op)] == ["t.slots"]
