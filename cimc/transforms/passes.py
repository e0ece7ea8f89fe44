"""Every pass by name, imported only when used."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.passes import ModulePass

from cimc.support.registry import Registry


def _is_pass(name: str, item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, ModulePass)):
        return "it is no subclass of xdsl.passes.ModulePass"
    return None if item.name == name else f"the class calls itself `{item.name}`"


FRONTEND = (
    "canonicalize,expand-composites,plan-offload,convert-precision,normalise-quantised,scale-tables,"
    "batch-major,recognise,demote,outline-host"
)
"""From the ``onnx`` to the ``rec`` dialect."""

ALL_OF_FRONTEND = "frontend"
"""Stands for the passes of :data:`FRONTEND` in pipelines."""

OLD_FRONTEND = "fuse-recsys"
"""One pass that did what the passes of :data:`FRONTEND` behind the first do now."""

OLD_NAMES = {"reside": "assign-memory"}
"""Old name of a pass to its name."""


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
        "allocate": "cimc.transforms.partition.allocate:Allocate",
        "shard": "cimc.transforms.partition.shard:Shard",
        "choose-adc-steps": "cimc.transforms.partition.choose_adc_steps:ChooseAdcSteps",
        "assign-memory": "cimc.transforms.partition.assign_memory:AssignMemory",
        "replicate": "cimc.transforms.partition.replicate:Replicate",
        "copy": "cimc.transforms.partition.copy_instances:Copy",
        "place": "cimc.transforms.place.place:Place",
        "schedule": "cimc.transforms.schedule.schedule:Schedule",
        "lower": "cimc.transforms.codegen.lower:Lower",
    },
    unknown="pass.unknown",
    fits=_is_pass,
    group="cimc.passes",
    reserved={
        ALL_OF_FRONTEND: f"{FRONTEND} in pipelines",
        OLD_FRONTEND: f"{FRONTEND.partition(',')[2]} in pipelines from version 0.1",
        **{old: f"`{now}` in pipelines from version 0.1" for old, now in OLD_NAMES.items()},
    },
)
"""The passes that a pipeline string can name."""

register_pass = PASSES.register

DEFAULT_PIPELINE = (
    f"{FRONTEND},quantize{{weights=8 acts=8}},group,allocate,shard{{converter_parallelism=0.2}},"
    "choose-adc-steps,copy,place{strategy=greedy chips=near},schedule{reduction_tiles=spread},lower"
)


def loader(name: str) -> Callable[[], type[ModulePass]]:
    """A function that imports the pass ``name``."""
    return lambda: PASSES[name]
