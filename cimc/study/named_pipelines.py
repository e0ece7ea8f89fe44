"""Mapping strategies as users name them: a placement strategy, or a name for a whole pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cimc.errors import CimcError, PassError, printable
from cimc.mapping.assignment.strategy_registry import STRATEGIES
from cimc.study.cases import Strategy
from cimc.support.keyword_options import keyword_options
from cimc.support.progress import note
from cimc.target.variants import split
from cimc.transforms.passes import DEFAULT_PIPELINE
from cimc.transforms.pipeline import Pipeline
from cimc.transforms.system import System

DEFAULT = "default"


def strategy(text: str) -> Strategy:
    """``default``, the name of a bundle or placement strategy, or ``NAME=PIPELINE``.

    Raises:
        CimcError: ``mapping.unknown-strategy``; as :meth:`Pipeline.parse` for a pipeline.
    """
    name, equals, pipeline = text.partition("=")
    if equals and "{" not in name:
        if not name:
            raise CimcError("study.strategy", f"strategy '{printable(text)}' has no name before the =")
        return Strategy(name, str(Pipeline.parse(pipeline)))
    return Strategy(text, str(Pipeline.parse(pipeline_of(text))))


def seeded(pipeline: str, seed: int) -> str:
    """``pipeline`` with ``seed`` for every pass that takes one."""
    passes: list[Any] = list(Pipeline.parse(pipeline).passes)
    return str(Pipeline(tuple(replace(p, seed=seed) if hasattr(p, "seed") else p for p in passes)))


def growing(pipeline: str) -> str:
    """``pipeline`` on one chip, and on more where one cannot hold the model; as it is if it says how many."""
    passes = list(Pipeline.parse(pipeline).passes)
    names = [each.name for each in passes]
    if "system" not in names:
        # what only reads the file need not run again for every number of chips
        first = next((k for k, name in enumerate(names) if name in ("plan-offload", "demote")), 0)
        passes.insert(first, System(grow=True))
    return str(Pipeline(tuple(passes)))


def pipeline_of(name: str) -> str:
    """The pipeline of a bundle of policies, or of a placement strategy alone.

    Options of :func:`cimc.transforms.presets.bundles.pipeline_of_bundle` may follow in braces, and those
    of the placement strategy: ``log_copies{chips=near}``, ``ortools{eps=0.1}``.

    Raises:
        PassError: ``mapping.unknown-strategy``, ``mapping.unknown-option``, ``mapping.bad-option``;
            ``mapping.duplicate-strategy`` as :func:`cimc.transforms.presets.policies.bundle`;
            ``plugin.unfit`` where an option of the placement strategy is called as one of another pass.
    """
    from cimc.transforms.presets.bundles import pipeline_of_bundle
    from cimc.transforms.presets.policies import BUNDLES, bundle

    if name == DEFAULT:
        return DEFAULT_PIPELINE
    plain, changes = split(name)
    if (now := BUNDLES.current(plain)) != plain:
        note(f"note: mapping `{plain}` is called `{now}` now")
    made = bundle(plain)
    known = {"chips", "dense", "reduction_tiles"}
    known |= {"budget"} if made.replication != "none" else set()
    known |= {"sram"} if made.residency != "rram" else set()
    policies = {key: value for key, value in changes.items() if key in known}
    own = {key: value for key, value in changes.items() if key not in known}
    for key in policies:
        if key in keyword_options(STRATEGIES[made.placement]):
            raise PassError(
                "plugin.unfit",
                f"`{printable(made.placement)}` has an option `{key}`, which another pass has here",
                hint="choose by pipeline: NAME=PIPELINE",
            )
    return pipeline_of_bundle(made, **policies, options=own)
