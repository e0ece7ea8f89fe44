"""Mapping strategies as users name them: a placement strategy, or a name for a whole pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cimc.errors import CimcError, printable
from cimc.passes.pipeline import Pipeline
from cimc.passes.registry import DEFAULT_PIPELINE
from cimc.study.plan import Strategy

DEFAULT = "default"


def strategy(text: str) -> Strategy:
    """``default``, a placement strategy's name, or ``NAME=PIPELINE``.

    Raises:
        CimcError: ``mapping.unknown-strategy``; as :meth:`Pipeline.parse` for a pipeline.
    """
    name, equals, pipeline = text.partition("=")
    if equals:
        if not name:
            raise CimcError("study.strategy", f"strategy '{printable(text)}' has no name before the =")
        return Strategy(name, str(Pipeline.parse(pipeline)))
    return Strategy(name, str(Pipeline.parse(pipeline_of(name))))


def seeded(pipeline: str, seed: int) -> str:
    """``pipeline`` with ``seed`` for every pass that takes one."""
    passes: list[Any] = list(Pipeline.parse(pipeline).passes)
    return str(Pipeline(tuple(replace(p, seed=seed) if hasattr(p, "seed") else p for p in passes)))


def pipeline_of(name: str) -> str:
    """The default pipeline with the placement strategy ``name``."""
    from cimc.mapping import registry

    if name == DEFAULT:
        return DEFAULT_PIPELINE
    registry.lookup(name)
    passes = DEFAULT_PIPELINE.split("place{")
    return f"{passes[0]}place{{strategy={name}}}{passes[1].partition('}')[2]}"
