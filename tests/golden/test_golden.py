"""The IR of a tiny DLRM after every pass, and its program, against files that people have read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import onnx
import pytest

from cimc.api import prepare
from cimc.ir.text import print_ir
from cimc.isa.assembly import format_stream
from cimc.isa.program import ChipSegment
from cimc.transforms.passes import DEFAULT_PIPELINE, FRONTEND
from models.tiny import requests_for, tiny_dlrm

PASSES = (
    "import", "canonicalize", "expand-composites", "plan-offload", "convert-precision", "normalise-quantised",
    "scale-tables", "batch-major", "recognise", "demote", "outline-host",
    "quantize", "group", "allocate", "shard", "choose-adc-steps", "copy", "place", "schedule",
)  # fmt: skip


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """File name -> text, from one compilation."""
    path = Path(tmp_path_factory.mktemp("tiny")) / "tiny_dlrm.onnx"
    model, _ = tiny_dlrm(seed=0, tables=2)
    onnx.save(model, path)
    module, ctx, pipeline = prepare(path, "tsinghua28", requests_for(model, batch=32), DEFAULT_PIPELINE)
    found = {"00-import.mlir": print_ir(module, locations=True)}
    for number, each in enumerate(pipeline.passes, 1):
        each.apply(ctx, module)
        if each.name != "lower":
            found[f"{number:02}-{each.name}.mlir"] = print_ir(module, locations=True)
    lines = []
    for number, segment in enumerate(ctx.program.segments):
        assert isinstance(segment, ChipSegment)
        for tile, stream in segment.streams.items():
            lines += [f"segment {number} tile {tile}", *format_stream(stream)]
    found["19-program.s"] = "\n".join(lines) + "\n"
    return found


STRATEGIES = ("greedy", "round_robin", "first_fit")


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Strategy -> the IR that ``place`` leaves with it, of a DLRM whose tables fill several arrays."""
    path = Path(tmp_path_factory.mktemp("small")) / "small_dlrm.onnx"
    model, _ = tiny_dlrm(seed=0, tables=9)
    onnx.save(model, path)
    found = {}
    for strategy in STRATEGIES:
        line = f"{FRONTEND},quantize,group,shard,place{{strategy={strategy}}}"
        module, ctx, pipeline = prepare(
            path, "tsinghua28{array.cols=64}", requests_for(model, batch=32), line
        )
        pipeline.run(module, ctx)
        found[strategy] = print_ir(module)
    return found


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_placements(strategy: str, placed: dict[str, str], golden: Callable[[str, str], None]) -> None:
    """What a strategy decides stands in the text: another strategy in its place fails its golden."""
    for other, text in placed.items():
        assert (text == placed[strategy]) == (other == strategy), f"{other} reads as {strategy}"
    lines = [line.strip() for line in placed[strategy].splitlines() if " cim.placement " in line]
    golden(f"placements/{strategy}.mlir", "\n".join(lines) + "\n")


IDLE = {
    "expand-composites",
    "convert-precision",
    "normalise-quantised",
    "scale-tables",
    "batch-major",
    "demote",
}
"""Passes with nothing to do for a float model without composites, of which everything goes to the chip."""


def test_every_pass_changes_the_text_if_it_has_something_to_do(texts: dict[str, str]) -> None:
    dumps = [text for name, text in texts.items() if name.endswith(".mlir")]
    idle = {PASSES[k] for k, (before, after) in enumerate(pairwise(dumps), 1) if before == after}
    assert idle == IDLE
    assert len(set(dumps)) == len(dumps) - len(IDLE)


STEPS = [f"{number:02}-{name}.mlir" for number, name in enumerate(PASSES) if name not in IDLE]


@pytest.mark.parametrize("name", [*STEPS, "19-program.s"])
def test_golden(name: str, texts: dict[str, str], golden: Callable[[str, str], None]) -> None:
    golden(f"tiny_dlrm/{name}", texts[name])
