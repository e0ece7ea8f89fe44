"""Recognisers: rewrite patterns from what exporters emit to the ``rec`` dialect.

``PATTERNS`` span several nodes and are tried first, on the graph as imported; ``OPERATORS`` look at one or
two nodes and take what is left.  Order matters within a stage: the first that matches wins.
"""

from cimc.transforms.recognise.embedding_bags.gather import GatherBag, PooledGatherBag
from cimc.transforms.recognise.embedding_bags.loop import LoopBag
from cimc.transforms.recognise.embedding_bags.masked import MaskedBag, MaskedMax, MaskedMean
from cimc.transforms.recognise.embedding_bags.onehot import OneHotSegmentBag
from cimc.transforms.recognise.embedding_bags.segment import SegmentBag
from cimc.transforms.recognise.layers.conv import Conv
from cimc.transforms.recognise.layers.einsum import Einsum
from cimc.transforms.recognise.layers.interaction import DotInteraction, MatMul
from cimc.transforms.recognise.layers.linear import LeftLinear, Linear
from cimc.transforms.recognise.layers.quantised import GridRounding, QuantisedLinear
from cimc.transforms.recognise.layout.reshape import Reshape, Tile, Transpose
from cimc.transforms.recognise.layout.select import Concat, Gather, Pad, Slice, Split
from cimc.transforms.recognise.recogniser import Recogniser
from cimc.transforms.recognise.vector.activations import Activation
from cimc.transforms.recognise.vector.convert import Cast
from cimc.transforms.recognise.vector.elementwise import Binary, Unary
from cimc.transforms.recognise.vector.logic import Compare, Triangle, Truth, Where
from cimc.transforms.recognise.vector.normalise import BatchNormalization, LayerNormalization, LpNormalization
from cimc.transforms.recognise.vector.pick import OneHot, Pick
from cimc.transforms.recognise.vector.pool import Pool
from cimc.transforms.recognise.vector.reduce import GlobalPool, Reduce, Softmax
from cimc.transforms.recognise.vector.scan import Product, RunningSum

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
