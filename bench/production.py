"""Recommendation models of production size, as ONNX files whose weights may be left out.

    python -m bench.production NAME FOLDER [--scale S] [--requests N] [--data]

writes ``FOLDER/model.onnx`` and ``FOLDER/requests.npz``; with ``--data`` the external data files too, block
by block; without, the model compiles with ``--weights generated:SEED``.

Shapes (:data:`SHAPES`), and what is known of them:

* ``kaggle``: DLRM on Criteo Kaggle as its authors publish it: 26 tables of 16 columns, one id each.
* ``rm1``, ``rm2``, ``rm3``: after the three classes of Gupta et al., "The architectural implications of
  Facebook's DNN-based personalized recommendation", HPCA 2020: few tables and much pooling, many tables and
  much pooling, large layers and little pooling.  Layers and lookups follow the classes as later work quotes
  them; the rows of their tables are not public: 4 M, 1 M and 1 M are ours.
* ``dcnv2``: MLPerf's DLRM-DCNv2: 26 tables of 128 columns capped at 40 M rows, its multi-hot sizes, three
  low-rank cross layers of rank 512.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FILES = 3
"""Data files that the tables are spread over; the layers have one of their own."""
_BLOCK_ROWS = 1 << 18


@dataclass(frozen=True)
class Shape:
    """A model: widths of its layers, its tables, and how their vectors meet.

    Attributes:
        dense: dense features.
        bottom, top: output widths of the layers of the two MLPs; ``top`` ends in 1.
        rows: rows of each table.
        pooling: ids per request of each table; their rows are summed.
        dim: columns of every table.
        interaction: ``dot`` products of all pairs, or ``cross`` layers (low-rank, after DCN v2).
        cross_layers, cross_rank: of ``cross``.
    """

    dense: int
    bottom: tuple[int, ...]
    top: tuple[int, ...]
    rows: tuple[int, ...]
    pooling: tuple[int, ...]
    dim: int
    interaction: Literal["dot", "cross"] = "dot"
    cross_layers: int = 0
    cross_rank: int = 0

    def rows_at(self, scale: float) -> list[int]:
        """Rows of the tables, each ``scale`` times the original, at least 3."""
        return [max(3, round(rows * scale)) for rows in self.rows]


KAGGLE_ROWS = (
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27, 14992, 5461306,
    10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572,
)  # fmt: skip
_MLPERF_ROWS = (
    40000000, 39060, 17295, 7424, 20265, 3, 7122, 1543, 63, 40000000, 3067956, 405282, 10, 2209, 11938, 155,
    4, 976, 14, 40000000, 40000000, 40000000, 590152, 12973, 108, 36,
)  # fmt: skip
_MLPERF_POOLING = (3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1)

SHAPES: dict[str, Shape] = {
    "kaggle": Shape(13, (512, 256, 64, 16), (512, 256, 1), KAGGLE_ROWS, (1,) * 26, 16),
    "rm1": Shape(13, (256, 128, 32), (256, 64, 1), (4_000_000,) * 8, (80,) * 8, 32),
    "rm2": Shape(13, (256, 128, 32), (512, 128, 1), (1_000_000,) * 32, (80,) * 32, 32),
    "rm3": Shape(13, (2560, 512, 32), (512, 128, 1), (1_000_000,) * 10, (20,) * 10, 32),
    "dcnv2": Shape(
        13, (512, 256, 128), (1024, 1024, 512, 256, 1), _MLPERF_ROWS, _MLPERF_POOLING, 128, "cross", 3, 512
    ),
}


@dataclass(frozen=True)
class Size:
    """What was built, in elements of tables and layers."""

    elements: int

    @property
    def fp32(self) -> int:
        """Bytes of the weights as float32."""
        return 4 * self.elements

    @property
    def int8(self) -> int:
        """Bytes of the weights as 8-bit integers."""
        return self.elements


def build(shape: Shape, folder: Path, scale: float = 1.0, *, seed: int = 0, with_data: bool = True) -> Size:
    """Write ``model.onnx`` and, unless ``with_data`` is off, its data files, block by block."""
    import onnx
    from onnx import TensorProto, helper

    from models import onnx_forms as forms

    g = forms.GraphWriter()
    x = g.input("dense", TensorProto.FLOAT, ["batch", shape.dense])
    rng = np.random.default_rng(seed)
    features = forms.mlp(g, x, _layers(rng, (shape.dense, *shape.bottom)), scope="/bot_l", last="Relu")
    rows = shape.rows_at(scale)
    pooled, external = [], []
    for number, pooling in enumerate(shape.pooling):
        name, scope = f"emb_l.{number}.weight", f"/emb_l.{number}"
        external.append(name)
        ids = g.input(f"ids_{number}", TensorProto.INT64, ["batch"] if pooling == 1 else ["batch", pooling])
        found = g.op("Gather", [name, ids], scope=scope, axis=0)
        if pooling > 1:
            found = g.op("ReduceSum", [found, g.const([1], scope=scope)], scope=scope, keepdims=0)
        pooled.append(found)
    if shape.interaction == "dot":
        joined = forms.dot_interaction(g, features, pooled)
        width = shape.dim + (len(rows) + 1) * len(rows) // 2
    else:
        width = shape.dim * (1 + len(rows))
        joined = g.op("Concat", [features, *pooled], scope="", axis=1)
        joined = _cross(g, joined, width, shape, rng)
    g.output("prob", TensorProto.FLOAT, ["batch", 1])
    forms.mlp(g, joined, _layers(rng, (width, *shape.top)), scope="/top_l", last="Sigmoid", out="prob")
    layers = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in g.initializers}
    g.initializers = []
    ends: dict[str, int] = {}

    def outside(name: str, dims: Sequence[int], file: str) -> None:
        start, size = ends.get(file, 0), 4 * math.prod(dims)
        ends[file] = start + -(-size // 4096) * 4096  # aligned to pages, as exporters do
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=dims)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", file), ("offset", start), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
        g.initializers.append(tensor)
        if with_data:
            with (folder / file).open("ab") as stream:
                stream.seek(start)
                stream.truncate(start)
                for part in _values(name, dims, layers, rng):
                    part.tofile(stream)

    for name, array in layers.items():
        outside(name, array.shape, "layers.bin")
    for number, (name, count) in enumerate(zip(external, rows, strict=True)):
        outside(name, (count, shape.dim), f"tables_{number % FILES}.bin")
    model = helper.make_model(
        g.graph("dlrm"), opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="cimc.bench"
    )
    onnx.save(model, folder / "model.onnx")
    return Size(shape.dim * sum(rows) + sum(array.size for array in layers.values()))


def _layers(rng: np.random.Generator, sizes: Sequence[int]) -> list[tuple[Any, Any]]:
    return [
        ((rng.standard_normal((n, k)) / np.sqrt(k)).astype(np.float32), np.zeros(n, np.float32))
        for k, n in itertools.pairwise(sizes)
    ]


def _cross(g: Any, x0: str, width: int, shape: Shape, rng: np.random.Generator) -> str:
    """``x = x0 * (W (V x) + b) + x``, ``cross_layers`` times."""
    x = x0
    for number in range(shape.cross_layers):
        scope = f"/cross.{number}"
        narrow = (rng.standard_normal((width, shape.cross_rank)) / np.sqrt(width)).astype(np.float32)
        wide = (rng.standard_normal((shape.cross_rank, width)) / np.sqrt(shape.cross_rank)).astype(np.float32)
        low = g.op("MatMul", [x, g.weight(f"cross.{number}.V", narrow)], scope=scope)
        high = g.op("MatMul", [low, g.weight(f"cross.{number}.W", wide)], scope=scope)
        bias = g.weight(f"cross.{number}.bias", np.zeros(width, np.float32))
        x = g.op(
            "Add", [g.op("Mul", [x0, g.op("Add", [high, bias], scope=scope)], scope=scope), x], scope=scope
        )
    return x


def _values(
    name: str, dims: Sequence[int], layers: dict[str, Any], rng: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    if name in layers:
        yield layers[name]
        return
    for start in range(0, dims[0], _BLOCK_ROWS):
        count = min(_BLOCK_ROWS, dims[0] - start)
        part = rng.standard_normal((count, dims[1]), dtype=np.float32)
        part *= np.float32(0.1)
        yield part


def zipf_ids(rng: np.random.Generator, rows: int, count: int, exponent: float) -> NDArray[np.int64]:
    """Ids of a Zipf law over ``rows`` rows, the popular ones scattered over the table.

    The continuous law is inverted; a multiplication modulo ``rows`` takes rank to row, as ids of real tables
    (hashed, or in order of first appearance) say little about popularity.
    """
    e = 1.0 - exponent
    rank = (((rows + 1.0) ** e - 1.0) * rng.random(count) + 1.0) ** (1.0 / e) - 1.0
    step = next(k for k in range(int(rows * 0.6180339887) | 1, 2 * rows + 2) if math.gcd(k, rows) == 1)
    return np.minimum(rank.astype(np.int64), rows - 1) * (step % rows) % rows


def requests(
    shape: Shape, scale: float = 1.0, count: int = 64, seed: int = 0, *, exponent: float | None = None
) -> dict[str, NDArray[Any]]:
    """Random requests of the model built at ``scale``: ids uniform, or Zipf with ``exponent``."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, NDArray[Any]] = {"dense": rng.standard_normal((count, shape.dense)).astype(np.float32)}
    draw: Callable[[int, int], NDArray[np.int64]] = lambda rows, n: (  # noqa: E731
        rng.integers(0, rows, n) if exponent is None else zipf_ids(rng, rows, n, exponent)
    )
    for number, (rows, pooling) in enumerate(zip(shape.rows_at(scale), shape.pooling, strict=True)):
        ids = draw(rows, count * pooling)
        arrays[f"ids_{number}"] = ids if pooling == 1 else ids.reshape(count, pooling)
    return arrays


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("name", choices=sorted(SHAPES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows (default 1)")
    parser.add_argument("--requests", type=int, default=1024, help="requests to write (default 1024)")
    parser.add_argument("--exponent", type=float, default=0.85, help="of the Zipf law of ids (default 0.85)")
    parser.add_argument("--data", action="store_true", help="write the data files, too")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    shape = SHAPES[given.name]
    size = build(shape, given.folder, given.scale, seed=given.seed, with_data=given.data)
    arrays = requests(shape, given.scale, given.requests, given.seed, exponent=given.exponent)
    np.savez(given.folder / "requests.npz", **arrays)  # type: ignore[arg-type]
    print(f"{given.folder}: {size.elements:,} weights, {given.requests} requests")


if __name__ == "__main__":
    main()
