"""cimc compiles recommendation models onto RRAM compute-in-memory crossbars.

    import cimc
    program = cimc.compile("model.onnx", target="tsinghua28", calib=requests)
    result = program.run(requests, mode="adc")

Names are imported when first used, so that ``import cimc`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cimc import instrument
    from cimc.api import Program, Result, compile
    from cimc.errors import (
        CheckFailed,
        CimcError,
        InfeasibleError,
        InternalError,
        ModelError,
        PassError,
        ProgramError,
        RequestError,
        TargetError,
    )
    from cimc.mapping.assignment.strategy_registry import register_strategy
    from cimc.remarks import Remark, Remarks, register_remark
    from cimc.sim.devices.model.load_device import register_device
    from cimc.study.baseline.measure import measure_baseline
    from cimc.study.baseline.records import Baseline
    from cimc.support.load_plugin import load_plugin
    from cimc.target.load_target import load_target, register_target
    from cimc.transforms.passes import register_pass
    from cimc.transforms.pipeline import Pipeline
    from cimc.transforms.recognise import register_recogniser

__version__ = "0.1.0"

_ERRORS = (
    "CheckFailed",
    "CimcError",
    "InfeasibleError",
    "InternalError",
    "ModelError",
    "PassError",
    "ProgramError",
    "RequestError",
    "TargetError",
)
_HOMES = {
    "Baseline": "cimc.study.baseline.records",
    "Pipeline": "cimc.transforms.pipeline",
    "Program": "cimc.api",
    "Remark": "cimc.remarks",
    "Remarks": "cimc.remarks",
    "Result": "cimc.api",
    "compile": "cimc.api",
    "load_plugin": "cimc.support.load_plugin",
    "load_target": "cimc.target.load_target",
    "measure_baseline": "cimc.study.baseline.measure",
    "register_device": "cimc.sim.devices.model.load_device",
    "register_pass": "cimc.transforms.passes",
    "register_recogniser": "cimc.transforms.recognise",
    "register_remark": "cimc.remarks",
    "register_strategy": "cimc.mapping.assignment.strategy_registry",
    "register_target": "cimc.target.load_target",
    **dict.fromkeys(_ERRORS, "cimc.errors"),
}

__all__ = [
    "Baseline",
    "CheckFailed",
    "CimcError",
    "InfeasibleError",
    "InternalError",
    "ModelError",
    "PassError",
    "Pipeline",
    "Program",
    "ProgramError",
    "Remark",
    "Remarks",
    "RequestError",
    "Result",
    "TargetError",
    "__version__",
    "compile",
    "instrument",
    "load_plugin",
    "load_target",
    "measure_baseline",
    "register_device",
    "register_pass",
    "register_recogniser",
    "register_remark",
    "register_strategy",
    "register_target",
]


if not TYPE_CHECKING:  # a type checker is to report names that do not exist

    def __getattr__(name: str) -> Any:
        if name == "instrument":
            return import_module("cimc.instrument")
        if name not in _HOMES:
            raise AttributeError(f"module 'cimc' has no attribute '{name}'")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
