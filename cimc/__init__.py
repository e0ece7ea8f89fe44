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
    from cimc.target.load_target import load_target
    from cimc.transforms.pipeline import Pipeline

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
    "Pipeline": "cimc.transforms.pipeline",
    "Program": "cimc.api",
    "Result": "cimc.api",
    "compile": "cimc.api",
    "load_target": "cimc.target.load_target",
    **dict.fromkeys(_ERRORS, "cimc.errors"),
}

__all__ = [
    "CheckFailed",
    "CimcError",
    "InfeasibleError",
    "InternalError",
    "ModelError",
    "PassError",
    "Pipeline",
    "Program",
    "ProgramError",
    "RequestError",
    "Result",
    "TargetError",
    "__version__",
    "compile",
    "instrument",
    "load_target",
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
