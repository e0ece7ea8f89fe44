"""A described model through the compiler: shares of blocks, and a program whose tables are the model's."""

from __future__ import annotations

import pytest

from cimc.study.planning.description import tables_of_description
from cimc.study.planning.detail import block_shares, detailed
from cimc.target.load_target import load_target
from tests.study.planning.small_model import small


def test_shares_of_blocks() -> None:
    tables = tables_of_description(small())
    shares = block_shares(tables, 512)
    assert {name: len(share) for name, share in shares.items()} == {"a.0": 10, "a.1": 10, "b.0": 2, "c.0": 1}
    assert all(share.sum() == pytest.approx(1.0) for share in shares.values())
    assert shares["a.0"] is shares["a.1"]
    assert (shares["a.0"][:-1] >= shares["a.0"][1:]).all()


def test_the_program_has_the_models_tables_and_work() -> None:
    model = small()
    found = detailed(model, tables_of_description(model), load_target("tsinghua28"), 0)
    tables = {m.name: (m.rows, m.cols) for m in found.program.data.matrices if m.kind == "table"}
    assert tables == {"a.0": (5000, 8), "a.1": (5000, 8), "b.0": (700, 8), "c.0": (90, 8)}
    assert found.cost.energy.total_pj > 0
