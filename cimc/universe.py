"""The plugin by which ``xdsl-opt`` knows the dialects and passes of cimc (entry point ``xdsl.universe``)."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Dialect
from xdsl.passes import ModulePass
from xdsl.transforms import get_all_passes
from xdsl.universe import Universe

from cimc.transforms.passes import PASSES, loader


def _onnx() -> Dialect:
    from cimc.ir.onnx.dialect import ONNX

    return ONNX


def _rec() -> Dialect:
    from cimc.ir.rec import REC

    return REC


def _cim() -> Dialect:
    from cimc.ir.cim import CIM

    return CIM


RENAMED = {name: f"cimc-{name}" for name in PASSES if name in get_all_passes()}
"""Passes whose name a pass of xDSL itself has, and the name they go by in ``xdsl-opt``."""


def _renamed(name: str) -> Callable[[], type[ModulePass]]:
    load = loader(name)

    def make() -> type[ModulePass]:
        found = load()
        # the pipeline parser of xDSL compares the name in the text with that of the class
        return type(found.__name__, (found,), {"name": RENAMED[name], "__module__": __name__})

    return make


CIMC_UNIVERSE = Universe(
    all_dialects={"onnx": _onnx, "rec": _rec, "cim": _cim},
    all_passes={RENAMED.get(n, n): _renamed(n) if n in RENAMED else loader(n) for n in PASSES},
)
"""The one of cimc, with the passes of installed plug-ins, which are imported when they are used."""
