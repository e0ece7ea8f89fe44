"""A pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.passes import ModulePass


@dataclass(frozen=True)
class Count(ModulePass):
    """Write into the module how many operations it has of each kind that occurs ``at_least`` so often."""

    name = "sample-count"
    at_least: int = 1

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        found = Counter(each.name for each in op.walk() if each is not op)
        for name, count in sorted(found.items()):
            if count >= self.at_least:
                op.attributes[f"count.{name}"] = IntegerAttr(count, i64)
