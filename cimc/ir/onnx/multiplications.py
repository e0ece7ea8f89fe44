"""What a node multiplies and looks up, as products of extents: the one definition that every count uses.

A *MAC* is one multiplication of a matrix product: of an activation with a weight, or of two activations.  A
*looked-up value* is one number of a row that a node takes from a constant table.  Elementwise arithmetic,
normalisation and pooling are neither.  The rules name extents of operands; ``shape_work.py`` fills them in
from what is known of a model, ``measured_work.py`` has onnxruntime fill them in for the requests at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

MACS, LOOKUPS = "macs", "lookups"


@dataclass(frozen=True)
class Extent:
    """Extent ``axis`` of a value (from the end where negative); ``None``: all of its elements."""

    value: Hashable
    axis: int | None = None


Factor = int | Extent
Product = tuple[Factor, ...]


@dataclass(frozen=True)
class Work:
    """The work of one execution of a node: sums of products of extents.

    Attributes:
        macs: its multiplications.
        lookups: the values of constant tables that it reads.
        unknown: why it cannot be counted; ``""`` where it can.
    """

    macs: tuple[Product, ...] = ()
    lookups: tuple[Product, ...] = ()
    unknown: str = ""

    def __bool__(self) -> bool:
        return bool(self.macs or self.lookups or self.unknown)


NOTHING = Work()


@dataclass(frozen=True)
class Node:
    """A node as the rules see it, whatever it is written in.

    Attributes:
        operator: its ONNX operator, with the domain where that is not the default one.
        inputs, outputs: the values, ``None`` where one is left out.
        attribute: an attribute's value by name, or ``None``.
        rank: how many axes a value has, ``None`` where that is not known.
        table: whether a value is a constant whose rows are numbers, not ids.
    """

    operator: str
    inputs: Sequence[Hashable | None]
    outputs: Sequence[Hashable | None]
    attribute: Callable[[str], Any]
    rank: Callable[[Hashable], int | None]
    table: Callable[[Hashable], bool]

    def input(self, index: int) -> Hashable | None:
        """Input ``index``, ``None`` where there is none."""
        return self.inputs[index] if index < len(self.inputs) else None

    def output(self, index: int = 0) -> Hashable | None:
        """Output ``index``, ``None`` where there is none."""
        return self.outputs[index] if index < len(self.outputs) else None

    def flag(self, name: str) -> bool:
        """An attribute that is on or off, off by default."""
        return bool(self.attribute(name))


class _Uncounted(Exception):
    """A rule cannot count its node; the message says why."""


Rule = Callable[[Node], "Work"]


def work_of(node: Node) -> Work:
    """The work of ``node``; the bodies of loops and branches are not part of it."""
    rule = _RULES.get(node.operator)
    if rule is None:
        return _without_rule(node.operator)
    try:
        return rule(node)
    except _Uncounted as reason:
        return Work(unknown=f"{node.operator}: {reason}")


def _without_rule(operator: str) -> Work:
    domain, _, name = operator.rpartition(".")
    if domain in ("", "ai.onnx.ml") or (domain == "com.microsoft" and name in _PLAIN):
        return NOTHING
    return Work(unknown=f"{operator}: what it multiplies is not known here")


def _needed(value: Hashable | None, what: str) -> Hashable:
    if value is None:
        raise _Uncounted(f"it has no {what}")
    return value


# -- products with one contracted axis --------------------------------------------------------------------


def _matmul(right: int = 1) -> Rule:
    """``[.., M, K] x [K, N]``: every element on the left meets N, every result is a sum of K products."""

    def rule(node: Node) -> Work:
        if node.flag("transBatchA") or node.flag("transBatchB"):
            raise _Uncounted("its batches are transposed")
        left, matrix = _needed(node.input(0), "left operand"), _needed(node.input(right), "right operand")
        if node.rank(matrix) == 2:
            return Work(((Extent(left), Extent(matrix, -2 if node.flag("transB") else -1)),))
        axis = -2 if node.flag("transA") else -1
        return Work(((Extent(_needed(node.output(), "result")), Extent(left, axis)),))

    return rule


def _gemm(right: int = 1) -> Rule:
    """As :func:`_matmul`; both operands are matrices."""

    def rule(node: Node) -> Work:
        left, matrix = _needed(node.input(0), "left operand"), _needed(node.input(right), "right operand")
        return Work(((Extent(left), Extent(matrix, 0 if node.flag("transB") else 1)),))

    return rule


def _packed(node: Node) -> Work:
    """Weights of a few bits in a format of their own: the inner extent is attribute ``K``."""
    inner = node.attribute("K")
    if not isinstance(inner, int):
        raise _Uncounted("it has no attribute 'K'")
    return Work(((Extent(_needed(node.output(), "result")), inner),))


def _einsum(node: Node) -> Work:
    """Every element of the result is a sum over the letters that it lost; n operands multiply n - 1 times."""
    equation = node.attribute("equation")
    if not isinstance(equation, str):
        raise _Uncounted("it has no equation")
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    letters = left.replace(",", "").replace(".", "")
    kept = right if arrow else "".join(c for c in letters if letters.count(c) == 1)
    axes: dict[str, Extent] = {}
    for index, term in enumerate(terms):
        before, dots, after = term.partition("...")
        value = _needed(node.input(index), f"operand {index}")
        axes |= {c: Extent(value, k) for k, c in enumerate(before)}
        axes |= {c: Extent(value, k - len(after)) for k, c in enumerate(after)} if dots else {}
    lost = tuple(extent for letter, extent in axes.items() if letter not in kept)
    if len(terms) == 1:
        return NOTHING
    return Work(((Extent(_needed(node.output(), "result")), *lost, len(terms) - 1),))


# -- convolutions and recurrences -------------------------------------------------------------------------


def _convolution(kernel: int, *, over: str = "result") -> Rule:
    """Every element of the result (of the input, when transposed) takes a kernel less its first axis."""

    def rule(node: Node) -> Work:
        weight = _needed(node.input(kernel), "kernel")
        rank = node.rank(weight)
        if rank is None:
            raise _Uncounted("the rank of its kernel is not known")
        each = _needed(node.output() if over == "result" else node.input(0), over)
        return Work(((Extent(each), *(Extent(weight, axis) for axis in range(1, rank))),))

    return rule


def _recurrent(node: Node) -> Work:
    """Every step of every request multiplies by all input weights and all recurrent weights."""
    x, w, r = (_needed(node.input(k), "weights") for k in range(3))
    steps = (Extent(x, 0), Extent(x, 1))
    return Work(((*steps, Extent(w)), (*steps, Extent(r))))


def _dft(node: Node) -> Work:
    """A product with the matrix of the transform: constant, though no file holds it."""
    axis = node.attribute("axis")
    if node.input(2) is not None:
        raise _Uncounted("its axis is an input")
    x = _needed(node.input(0), "input")
    over = axis if isinstance(axis, int) else 1
    return Work(((Extent(_needed(node.output(), "result")), Extent(x, over), Extent(x, -1)),))


# -- attention --------------------------------------------------------------------------------------------


def _attention(past: int, *, packed: bool = False) -> Rule:
    """Queries times keys, and weights times values; keys are those given and those of ``past``."""

    def rule(node: Node) -> Work:
        query, key = _needed(node.input(0), "queries"), node.input(1)
        if key is None or node.input(2) is None:
            raise _Uncounted("queries, keys and values are packed in one")
        if packed and node.rank(key) not in (None, 3, 4):
            raise _Uncounted("keys and values are packed in one")
        out = _needed(node.output(), "result")
        lengths = [Extent(key, -2)]
        if (before := node.input(past)) is not None:
            lengths.append(Extent(before, -2))
        return Work(tuple((Extent(v), length) for v in (query, out) for length in lengths))

    return rule


def _projected_attention(past: int) -> Rule:
    """Attention that also multiplies its input by the weights of queries, keys and values."""

    def rule(node: Node) -> Work:
        if node.input(past) is not None:
            raise _Uncounted("it takes keys and values of the past")
        x, weight = _needed(node.input(0), "input"), _needed(node.input(1), "weights")
        out = _needed(node.output(), "result")
        return Work(((Extent(x), Extent(weight, 1)), (Extent(out), Extent(x, 1), 2)))

    return rule


# -- tables -----------------------------------------------------------------------------------------------


def _lookup(node: Node) -> Work:
    """Rows, or elements, of a constant table."""
    table = _needed(node.input(0), "table")
    if not node.table(table):
        return NOTHING
    rank, axis, ids = node.rank(table), node.attribute("axis") or 0, node.input(1)
    if node.operator == "Gather" and rank is not None and ids is not None:
        rest = (Extent(table, k) for k in range(rank) if k != axis % rank)
        return Work(lookups=((Extent(ids), *rest),))
    return Work(lookups=((Extent(_needed(node.output(), "result")),),))


def _embedding_norm(node: Node) -> Work:
    tables = sum(node.input(k) is not None for k in (2, 3, 4))
    return Work(lookups=((Extent(_needed(node.output(), "result")), tables),))


def _unknown(why: str) -> Rule:
    def rule(node: Node) -> Work:
        raise _Uncounted(why)

    return rule


def _linear_model(node: Node) -> Work:
    """A row of coefficients for each class or target."""
    coefficients = node.attribute("coefficients")
    if coefficients is None:
        raise _Uncounted("it has no coefficients")
    x = _needed(node.input(0), "input")
    rows = () if node.rank(x) == 1 else (Extent(x, 0),)
    return Work(((*rows, len(coefficients)),))


_ELSEWHERE = "what it multiplies depends on its inputs"
_MS = "com.microsoft."
_RULES: dict[str, Rule] = {
    **dict.fromkeys(("MatMul", "MatMulInteger"), _matmul()),
    "QLinearMatMul": _matmul(3),
    **dict.fromkeys(
        (
            f"{_MS}{name}"
            for name in (
                "FusedMatMul",
                "FusedMatMulActivation",
                "TransposeMatMul",
                "DynamicQuantizeMatMul",
                "MatMulIntegerToFloat",
                "MatMulInteger16",
                "SparseToDenseMatMul",
                "GemmFastGelu",
            )
        ),
        _matmul(),
    ),
    **dict.fromkeys(("Gemm", f"{_MS}FusedGemm", f"{_MS}GemmFloat8"), _gemm()),
    f"{_MS}QGemm": _gemm(3),
    **dict.fromkeys((f"{_MS}MatMulNBits", f"{_MS}MatMulBnb4", f"{_MS}MatMulFpQ4"), _packed),
    "Einsum": _einsum,
    **dict.fromkeys(("Conv", "DeformConv", "ConvInteger"), _convolution(1)),
    **dict.fromkeys((f"{_MS}FusedConv", f"{_MS}NhwcFusedConv"), _convolution(1)),
    **dict.fromkeys(("QLinearConv", f"{_MS}QLinearConv"), _convolution(3)),
    "ConvTranspose": _convolution(1, over="input"),
    **dict.fromkeys(("RNN", "GRU", "LSTM", f"{_MS}DynamicQuantizeLSTM"), _recurrent),
    "DFT": _dft,
    "STFT": _unknown("its frames are not counted"),
    "Attention": _attention(4),
    f"{_MS}MultiHeadAttention": _attention(6, packed=True),
    f"{_MS}GroupQueryAttention": _attention(3),
    f"{_MS}Attention": _projected_attention(4),
    f"{_MS}QAttention": _projected_attention(8),
    **dict.fromkeys(("Gather", "GatherND", "GatherElements", f"{_MS}GatherND"), _lookup),
    **dict.fromkeys((f"{_MS}GatherBlockQuantized", "ai.onnx.ml.ArrayFeatureExtractor"), _lookup),
    f"{_MS}EmbedLayerNormalization": _embedding_norm,
    **dict.fromkeys(("ai.onnx.ml.LinearRegressor", "ai.onnx.ml.LinearClassifier"), _linear_model),
    **dict.fromkeys(
        ("ai.onnx.ml.SVMClassifier", "ai.onnx.ml.SVMRegressor"), _unknown("its kernel is not counted")
    ),
    "SequenceMap": _unknown(_ELSEWHERE),
}  # fmt: skip

_PLAIN = frozenset(
    (
        *("BiasAdd", "BiasDropout", "BiasGelu", "BiasSoftmax", "BiasSplitGelu", "BitmaskBiasDropout"),
        *("BitmaskDropout", "CropAndResize", "DequantizeLinear", "ExpandDims", "FastGelu", "Gelu"),
        *("GridSample", "GroupNorm", "IsAllFinite", "LayerNormalization", "MaxpoolWithMask", "MulInteger"),
        *("MurmurHash3", "NGramRepeatBlock", "NhwcMaxPool", "Pad", "QLinearAdd", "QLinearAveragePool"),
        *("QLinearConcat", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul", "QLinearReduceMean"),
        *("QLinearSigmoid", "QLinearSoftmax", "QLinearWhere", "QuantizeLinear", "QuickGelu", "Range"),
        *("ReduceSumInteger", "RelativePositionBias", "RemovePadding", "RestorePadding", "RotaryEmbedding"),
        *("SimplifiedLayerNormalization", "SkipGroupNorm", "SkipLayerNormalization", "Tokenizer", "Trilu"),
        *("SkipSimplifiedLayerNormalization", "Unique"),
    )
)  # fmt: skip
"""Operators of onnxruntime's own that move numbers or work on them one by one: no MACs, no tables."""


UNCHANGED = frozenset(
    ("Cast", "DequantizeLinear", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
)
"""Operators whose result is their first input in another form: a table stays a table."""
