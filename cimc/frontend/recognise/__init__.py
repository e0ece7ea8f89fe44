"""Recognisers: rewrite patterns from what exporters emit to the ``rec`` dialect.

``PATTERNS`` span several nodes and are tried first, on the graph as imported; ``OPERATORS`` look at one or
two nodes and take what is left.  Order matters within a stage: the first that matches wins.
"""

from cimc.frontend.match import Recogniser
from cimc.frontend.recognise.activations import Activation
from cimc.frontend.recognise.bags_gather import GatherBag, PooledGatherBag
from cimc.frontend.recognise.bags_loop import LoopBag
from cimc.frontend.recognise.bags_masked import MaskedBag, MaskedMax, MaskedMean
from cimc.frontend.recognise.bags_onehot import OneHotSegmentBag
from cimc.frontend.recognise.bags_segment import SegmentBag
from cimc.frontend.recognise.conv import Conv
from cimc.frontend.recognise.einsum import Einsum
from cimc.frontend.recognise.elementwise import Binary, Unary
from cimc.frontend.recognise.interaction import DotInteraction, MatMul
from cimc.frontend.recognise.linear import LeftLinear, Linear
from cimc.frontend.recognise.logic import Compare, Triangle, Truth, Where
from cimc.frontend.recognise.normalise import BatchNormalization, LayerNormalization, LpNormalization
from cimc.frontend.recognise.pick import OneHot, Pick
from cimc.frontend.recognise.pool import Pool
from cimc.frontend.recognise.quantised import GridRounding, QuantisedLinear
from cimc.frontend.recognise.reduce import GlobalPool, Reduce, Softmax
from cimc.frontend.recognise.reshape import Cast, Reshape, Tile, Transpose
from cimc.frontend.recognise.scan import Product, RunningSum
from cimc.frontend.recognise.select import Concat, Gather, Pad, Slice, Split

PATTERNS: tuple[type[Recogniser], ...] = (
    LoopBag,
    SegmentBag,
    OneHotSegmentBag,
    PooledGatherBag,
    MaskedMean,
    MaskedMax,
    MaskedBag,
    QuantisedLinear,
    DotInteraction,
)
OPERATORS: tuple[type[Recogniser], ...] = (
    GatherBag,
    GridRounding,
    Linear,
    LeftLinear,
    Conv,
    MatMul,
    Einsum,
    Unary,
    Activation,
    Binary,
    Compare,
    Truth,
    Where,
    Triangle,
    Softmax,
    BatchNormalization,
    LayerNormalization,
    LpNormalization,
    Reduce,
    Product,
    RunningSum,
    GlobalPool,
    Pool,
    Concat,
    Reshape,
    Transpose,
    Tile,
    Slice,
    Split,
    Gather,
    Pick,
    OneHot,
    Pad,
    Cast,
)
ALL = {r.name: r for r in (*PATTERNS, *OPERATORS)}
