"""What a type checker must see of the interface from outside; ``mypy --strict`` reads this, nobody runs it.

Were ``cimc`` untyped, everything would be ``Any``, which the types that are named here are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, assert_type

import numpy as np
from numpy.typing import NDArray

import cimc

requests: dict[str, NDArray[Any]] = {"x": np.zeros((2, 3), np.float32)}
program = cimc.compile("model.onnx", target="tsinghua28", calib=requests)
assert_type(program, cimc.Program)
assert_type(program.notes, tuple[str, ...])

assert_type(program.remarks, cimc.Remarks)
if program.remarks.placement is not None:
    assert_type(program.remarks.placement.gap, float)
    assert_type(program.remarks.placement.matrices[0].tiles, tuple[int, ...])
if program.remarks.converters is not None:
    assert_type(program.remarks.converters.adc_ranges[0].sqnr_db, float | None)


@cimc.register_remark("count")
@dataclass(frozen=True)
class Counted(cimc.Remark):
    name: ClassVar[str] = "count"
    found: int


counted = program.remarks.of(Counted)
assert_type(counted, Counted | None)

result = program.run(requests, mode="adc", threads=2)
assert_type(result, cimc.Result)
assert_type(result.outputs, dict[str, NDArray[Any]])
assert_type(result.events, dict[str, float])
assert_type(result.notes, tuple[str, ...])
assert_type(result.cost.energy_pj, float)
assert_type(cimc.__version__, str)
assert_type(cimc.load_plugin("mine.py").digest, str)

assert_type(program.save(Path("model.cimc")), None)
assert_type(cimc.Program.load("model.cimc"), cimc.Program)
try:
    cimc.compile("model.onnx", pipeline=cimc.Pipeline.parse("canonicalize"))
except cimc.CimcError as error:
    assert_type(error.code, str)
    assert_type(error.exit_code, int)

# A checker that sees the types reports each of these; an ignore that nothing needs is an error by itself.
cimc.compile(3)  # type: ignore[arg-type]
program.run(requests, mode="nosuch")  # type: ignore[arg-type]
program.remarks.placement.gap  # type: ignore[union-attr]  # noqa: B018
Counted("three")  # type: ignore[arg-type]
cimc.nosuch  # type: ignore[attr-defined]  # noqa: B018
