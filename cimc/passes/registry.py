"""Every pass by name, imported only when used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from xdsl.passes import ModulePass

PASSES: dict[str, tuple[str, str]] = {
    "canonicalize": ("cimc.passes.canonicalize", "Canonicalize"),
    "fuse-recsys": ("cimc.passes.fuse_recsys", "FuseRecsys"),
    "quantize": ("cimc.passes.quantize", "Quantize"),
    "group": ("cimc.passes.group", "Group"),
    "shard": ("cimc.passes.shard", "Shard"),
    "reside": ("cimc.passes.reside", "Reside"),
    "replicate": ("cimc.passes.replicate", "Replicate"),
    "place": ("cimc.passes.place", "Place"),
    "schedule": ("cimc.passes.schedule", "Schedule"),
    "lower": ("cimc.passes.lower", "Lower"),
}
"""Pass name -> (module, class)."""

DEFAULT_PIPELINE = (
    "canonicalize,fuse-recsys,quantize{weights=8 acts=8},group,shard{spread=0.2},"
    "place{strategy=greedy chips=near},schedule{homes=spread},lower"
)


def loader(name: str) -> Callable[[], type[ModulePass]]:
    """A function that imports the pass ``name``."""
    module, cls = PASSES[name]

    def load() -> type[ModulePass]:
        found: type[ModulePass] = getattr(import_module(module), cls)
        return found

    return load


def all_passes() -> dict[str, Callable[[], type[ModulePass]]]:
    """All passes, each as a function that imports it."""
    return {name: loader(name) for name in PASSES}
