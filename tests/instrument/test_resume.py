"""A dump can be resumed from any of its steps, with the arrays that stand beside all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cimc.errors import PassError
from cimc.instrument.dump import load_arrays_into, save_arrays_of, symbols_of
from cimc.ir.cim import check_stored, matrices_of
from cimc.ir.text import new_context, parse_ir, print_ir
from cimc.target.overrides import with_overrides
from cimc.transforms.pipeline import Pipeline
from tests.build import dlrm

LINE = (
    "quantize,group,shard,choose-adc-steps,"
    "assign-memory{policy=hot_sram sram=0.01},replicate{budget=0.5},place,schedule,lower"
)
NARROW: dict[str, Any] = {"array.rows": 16, "array.physical_rows": 16}
"""So few rows an array that tables have more blocks than the text shows in full."""


def test_every_step_resumes_although_later_ones_ran(tmp_path: Path) -> None:
    module, ctx = dlrm()
    assert ctx.target is not None
    ctx.target = with_overrides(ctx.target, NARROW)
    passes, texts, arrays = Pipeline.parse(LINE).passes, [], dict[str, NDArray[Any]]()
    for each in passes:
        Pipeline((each,)).run(module, ctx)
        texts.append(print_ir(module))
        arrays |= {name: ctx.store[name] for name in ctx.store}
    assert any("cim.placement" in line and "digest" in line for line in texts[-1].splitlines())
    save_arrays_of(ctx, arrays, tmp_path / "data.safetensors")
    for step in range(len(passes) - 1):
        again = new_context()
        again.target = ctx.target
        resumed = parse_ir(texts[step], again)
        assert print_ir(resumed) == texts[step]
        load_arrays_into(again, tmp_path / "data.safetensors", symbols_of(resumed))
        check_stored(resumed, again.store)
        Pipeline(passes[step + 1 :]).run(resumed, again)
        for name, array in again.program.data.items():
            np.testing.assert_array_equal(array, ctx.program.data[name], err_msg=f"{name}, step {step}")
        assert print_ir(resumed) == texts[-1]


def test_a_pass_that_changes_an_array_behind_the_text_is_found() -> None:
    module, ctx = dlrm()
    assert ctx.target is not None
    ctx.target = with_overrides(ctx.target, NARROW)
    Pipeline.parse("quantize,shard").run(module, ctx)
    stored = next(m.shards().blocks for m in matrices_of(module) if m.shards().blocks.symbol)
    assert stored.symbol is not None
    ctx.store.put(stored.symbol, ctx.store[stored.symbol][::-1].copy())
    with pytest.raises(PassError) as error:
        Pipeline.parse("group{policy=in_order}").run(module, ctx)
    assert error.value.code == "ir.other-data"
