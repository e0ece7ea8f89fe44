"""Every pass by name, imported only when used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from xdsl.passes import ModulePass

PASSES: dict[str, tuple[str, str]] = {
    "canonicalize": ("cimc.transforms.onnx.canonicalize", "Canonicalize"),
    "fuse-recsys": ("cimc.transforms.recognise.fuse_recsys", "FuseRecsys"),
    "quantize": ("cimc.transforms.quantise.quantize", "Quantize"),
    "group": ("cimc.transforms.partition.group_rows", "Group"),
    "shard": ("cimc.transforms.partition.shard", "Shard"),
    "reside": ("cimc.transforms.partition.assign_memory", "Reside"),
    "replicate": ("cimc.transforms.partition.replicate", "Replicate"),
    "place": ("cimc.transforms.place.place", "Place"),
    "schedule": ("cimc.transforms.schedule.schedule", "Schedule"),
    "lower": ("cimc.transforms.codegen.lower", "Lower"),
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
