"""What tiles execute, and what reaches a stage from outside."""

from __future__ import annotations

from xdsl.dialects.func import ReturnOp

from cimc.interpreter.evaluate import main_function
from cimc.ir import rec
from cimc.transforms.schedule.chip_operations import is_chip, outside
from cimc.transforms.schedule.schedule import assign_stages
from tests.build import mlp


def test_arguments_and_results_of_other_stages_come_from_outside() -> None:
    made, _ = mlp((4, 3, 2))
    function = main_function(made)
    stages = assign_stages(function)
    first, *rest = [op for op in function.body.block.ops if is_chip(op)]
    assert not any(isinstance(op, rec.ConstantOp | rec.HostOp | ReturnOp) for op in (first, *rest))
    assert len(rest) == 2  # the activation and the second layer
    assert outside(function.body.block.args[0], 0, stages)
    assert not outside(first.results[0], 0, stages)
    assert outside(first.results[0], 2, stages)
