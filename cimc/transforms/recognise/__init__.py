"""Recognisers: rewrite patterns from what exporters emit to the ``rec`` dialect.

Those of stage ``PATTERNS`` span several nodes and are tried first, on the graph as imported; those of stage
``OPERATORS`` look at one or two nodes and take what is left.  Order matters within a stage: the first that
matches wins.
"""

from collections.abc import Collection

from cimc.support.registry import Registry
from cimc.transforms.recognise.corpora.top_items import TopItems
from cimc.transforms.recognise.embedding_bags.gather import GatherBag, PooledGatherBag
from cimc.transforms.recognise.embedding_bags.loop import LoopBag
from cimc.transforms.recognise.embedding_bags.masked import MaskedBag, MaskedMax, MaskedMean
from cimc.transforms.recognise.embedding_bags.onehot import OneHotSegmentBag
from cimc.transforms.recognise.embedding_bags.scattered import ScatteredBag
from cimc.transforms.recognise.embedding_bags.segment import SegmentBag
from cimc.transforms.recognise.layers.conv import Conv
from cimc.transforms.recognise.layers.einsum import Einsum
from cimc.transforms.recognise.layers.interaction import DotInteraction, MatMul
from cimc.transforms.recognise.layers.linear import LeftLinear, Linear
from cimc.transforms.recognise.layers.quantised import GridRounding, QuantisedLinear
from cimc.transforms.recognise.layout.reshape import Reshape, Tile, Transpose
from cimc.transforms.recognise.layout.select import Concat, Gather, Pad, Slice, Split
from cimc.transforms.recognise.recogniser import Recogniser, Stage
from cimc.transforms.recognise.vector.activations import Activation
from cimc.transforms.recognise.vector.convert import Cast
from cimc.transforms.recognise.vector.elementwise import Binary, Unary
from cimc.transforms.recognise.vector.logic import Compare, Triangle, Truth, Where
from cimc.transforms.recognise.vector.normalise import BatchNormalization, LayerNormalization, LpNormalization
from cimc.transforms.recognise.vector.pick import OneHot, Pick
from cimc.transforms.recognise.vector.pool import Pool
from cimc.transforms.recognise.vector.reduce import GlobalPool, Reduce, Softmax
from cimc.transforms.recognise.vector.scan import Product, RunningSum

_BUILT_IN: tuple[type[Recogniser], ...] = (
    TopItems,
    LoopBag,
    SegmentBag,
    OneHotSegmentBag,
    ScatteredBag,
    PooledGatherBag,
    MaskedMean,
    MaskedMax,
    MaskedBag,
    QuantisedLinear,
    DotInteraction,
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


def _is_recogniser(name: str, item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, Recogniser)):
        return "it is no subclass of Recogniser"
    return None if item.name == name else f"the class calls itself `{item.name}`"


RECOGNISERS: Registry[type[Recogniser]] = Registry(
    "recogniser",
    {r.name: r for r in _BUILT_IN},
    unknown="pass.bad-option",
    fits=_is_recogniser,
    group="cimc.recognisers",
)
"""Recognisers by name."""

register_recogniser = RECOGNISERS.register


def recognisers(
    stage: Stage, only: Collection[str] = (), also: Collection[str] = ()
) -> list[type[Recogniser]]:
    """Those of a stage in the order in which they are tried: what is registered before what is built in.

    ``only`` are names of those to use; all if it is empty.  A recogniser that is merely installed is used
    where ``only`` or ``also`` names it: what is installed decides nothing by itself.
    """
    found = RECOGNISERS.in_order((*only, *also))
    return [r for r in found if r.stage is stage and (not only or r.name in only or r.name in also)]
