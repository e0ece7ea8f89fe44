"""Target descriptions: what the machine is, what it costs, and how it holds numbers."""

from cimc.target.load_target import DEFAULT_TARGET, load_target, preset_names
from cimc.target.spec import Array, Chip, Constant, System, Target, Tile

__all__ = [
    "DEFAULT_TARGET",
    "Array",
    "Chip",
    "Constant",
    "System",
    "Target",
    "Tile",
    "load_target",
    "preset_names",
]
