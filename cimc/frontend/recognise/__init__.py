"""Recognisers: rewrite patterns from what exporters emit to the ``rec`` dialect.

``PATTERNS`` span several nodes and are tried first, on the graph as imported; ``OPERATORS`` look at one or
two nodes and take what is left.  Order matters within a stage: the first that matches wins.
"""

from cimc.frontend.match import Recogniser
from cimc.frontend.recognise.bags_gather import GatherBag, PooledGatherBag
from cimc.frontend.recognise.bags_loop import LoopBag
from cimc.frontend.recognise.bags_masked import MaskedBag
from cimc.frontend.recognise.elementwise import Binary, Unary
from cimc.frontend.recognise.interaction import DotInteraction, MatMul
from cimc.frontend.recognise.linear import Linear
from cimc.frontend.recognise.reduce import BatchNormalization, Reduce, Softmax
from cimc.frontend.recognise.reshape import Cast, Reshape, Transpose
from cimc.frontend.recognise.select import Concat, Gather, Pad, Slice, Split

PATTERNS: tuple[type[Recogniser], ...] = (LoopBag, PooledGatherBag, MaskedBag, DotInteraction)
OPERATORS: tuple[type[Recogniser], ...] = (
    GatherBag,
    Linear,
    MatMul,
    Unary,
    Binary,
    Softmax,
    BatchNormalization,
    Reduce,
    Concat,
    Reshape,
    Transpose,
    Slice,
    Split,
    Gather,
    Pad,
    Cast,
)
ALL = {r.name: r for r in (*PATTERNS, *OPERATORS)}
