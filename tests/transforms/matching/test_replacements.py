"""What recognisers did is in the IR: read from the text, it can be undone."""

from __future__ import annotations

from cimc.interpreter.evaluate import main_function
from cimc.ir.text import parse_ir, print_ir
from cimc.transforms.matching.replacements import Replacements
from cimc.transforms.pipeline import Pipeline
from models.tiny import tiny_dlrm
from tests.transforms.recognise.fusing import imported


def test_all_that_was_taken_can_be_taken_back_after_the_text_was_read() -> None:
    module, ctx = imported(tiny_dlrm(0)[0])
    Pipeline.parse("canonicalize,recognise").run(module, ctx)
    again = parse_ir(print_ir(module, locations=True), ctx)
    found = Replacements.read(main_function(again), ctx)
    assert found.claimed
    unwanted = {o: "a reason" for o in main_function(again).body.block.ops if o.name.startswith("rec.")}
    assert found.demote(unwanted, "test")
    found.write()
    again.verify()
    assert not any(op.name.startswith("rec.") for op in again.walk())
    assert not Replacements.read(main_function(again), ctx).claimed
