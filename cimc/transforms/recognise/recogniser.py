"""The base class of all recognisers.

A recogniser looks at one ``onnx`` node (its *root*) and what feeds it.  It either gives values of the
``rec`` dialect that replace the root's results, or raises :class:`NoMatch` with the condition that failed;
the reasons are kept as :class:`MatchFailure` and shown by ``cimc inspect``.

A replaced node stays in the block, unused, until :meth:`Graph.sweep`: chip operations that turn out not to
be worth a trip to the chip can thus be taken back (:meth:`Graph.demote_islands`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import ClassVar

from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern
from xdsl.utils.exceptions import VerifyException

from cimc.ir.onnx import dialect as onnx
from cimc.support.registry import guarded
from cimc.transforms.matching.emitter import Emitter
from cimc.transforms.matching.failure import NoMatch, NotMine
from cimc.transforms.matching.graph import Graph


class Stage(Enum):
    """When a recogniser is tried."""

    PATTERNS = "on the graph as imported: patterns of several nodes"
    OPERATORS = "on what patterns left: one or two nodes"


class Recogniser(RewritePattern, ABC):
    """A rewrite pattern rooted at ONNX operators of some kinds.

    Class attributes:
        name: how misses and reports call it.
        kinds: operators of the default domain that a match can be rooted at.
        stage: when it is tried.
    """

    name: ClassVar[str]
    kinds: ClassVar[frozenset[str]]
    stage: ClassVar[Stage] = Stage.PATTERNS

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.analysis = graph.analysis

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        graph = self.graph
        if not isinstance(op, onnx.NodeOp) or op.parent is not graph.function.body.block:
            return
        if op in graph._made:
            return
        if graph.is_dead(op):
            graph.drop(op)
            return
        if op.kind not in self.kinds or op in graph.pinned:
            return
        emit = Emitter(graph, op)
        try:
            with guarded(type(self), NoMatch, VerifyException):
                values = list(self.rewrite(op, emit))
        except NoMatch as failure:
            emit.forget()
            graph.note(op, self.name, str(failure), near=not isinstance(failure, NotMine))
            return
        except VerifyException as error:  # the operation that would replace it does not exist in this form
            emit.forget()
            graph.note(op, self.name, str(error))
            return
        graph.replace(op, emit.ops, values, rewriter)
        graph.claimed[op] = self.name

    @abstractmethod
    def rewrite(self, op: onnx.NodeOp, emit: Emitter) -> Sequence[SSAValue | None]:
        """Values for the results of ``op``, or NoMatch."""


# -- structural helpers -------------------------------------------------------------------------------
