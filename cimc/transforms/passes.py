"""Every pass by name, imported only when used."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.passes import ModulePass

from cimc.support.registry import Registry


def _is_pass(name: str, item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, ModulePass)):
        return "it is no subclass of xdsl.passes.ModulePass"
    return None if item.name == name else f"the class calls itself `{item.name}`"


PASSES: Registry[type[ModulePass]] = Registry(
    "pass",
    {
        "canonicalize": "cimc.transforms.onnx.canonicalize:Canonicalize",
        "system": "cimc.transforms.system:System",
        "expand-composites": "cimc.transforms.onnx.expand_composites:ExpandComposites",
        "plan-offload": "cimc.transforms.recognise.plan_offload:PlanOffload",
        "convert-precision": "cimc.transforms.onnx.convert_precision:ConvertPrecision",
        "normalise-quantised": "cimc.transforms.onnx.normalise_quantised:NormaliseQuantised",
        "scale-tables": "cimc.transforms.onnx.scale_tables:ScaleTables",
        "batch-major": "cimc.transforms.onnx.move_batch_first:BatchMajor",
        "recognise": "cimc.transforms.recognise.run_recognisers:Recognise",
        "demote": "cimc.transforms.recognise.demote:Demote",
        "outline-host": "cimc.transforms.recognise.outline_host:OutlineHost",
        "quantize": "cimc.transforms.quantise.quantize:Quantize",
        "group": "cimc.transforms.partition.group_rows:Group",
        "shard": "cimc.transforms.partition.shard:Shard",
        "assign-memory": "cimc.transforms.partition.assign_memory:AssignMemory",
        "replicate": "cimc.transforms.partition.replicate:Replicate",
        "copy-layers": "cimc.transforms.partition.copy_layers:CopyLayers",
        "place": "cimc.transforms.place.place:Place",
        "schedule": "cimc.transforms.schedule.schedule:Schedule",
        "lower": "cimc.transforms.codegen.lower:Lower",
    },
    unknown="pass.unknown",
    fits=_is_pass,
    group="cimc.passes",
)
"""The passes that a pipeline string can name."""

register_pass = PASSES.register

FRONTEND = (
    "canonicalize,expand-composites,plan-offload,convert-precision,normalise-quantised,scale-tables,"
    "batch-major,recognise,demote,outline-host"
)
"""From the ``onnx`` to the ``rec`` dialect."""

DEFAULT_PIPELINE = (
    f"{FRONTEND},quantize{{weights=8 acts=8}},group,shard{{converter_parallelism=0.2}},"
    "place{strategy=greedy chips=near},schedule{reduction_tiles=spread},lower"
)


def loader(name: str) -> Callable[[], type[ModulePass]]:
    """A function that imports the pass ``name``."""
    return lambda: PASSES[name]
