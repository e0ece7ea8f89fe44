"""The small DLRM: 13 dense features, 26 tables of dim 16, dot interaction; trained on the click log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto

from models import layers as nn
from models import onnx_forms as forms
from models.click_log import ClickBatch, ClickLog, TableSpec
from models.layers import Layers
from models.optim import Adam, RowAdagrad
from models.requests import Requests
from models.synthetic import Array, Bags

# Cardinalities are in the range of the Criteo Kaggle tables; the large ones are cut so that the fp32 file
# stays below 8 MB.  Mean pooling never sees an
# empty bag: ONNX leaves the mean of nothing undefined.
TABLES = (
    TableSpec(1460),
    TableSpec(583, "sum", 1, 4),
    TableSpec(100_000, "sum", 1, 20, empty=0.02),
    TableSpec(2173, "sum", 1, 5, empty=0.1),
    TableSpec(305),
    TableSpec(24),
    TableSpec(1251, "mean", 2, 6),
    TableSpec(633),
    TableSpec(3),
    TableSpec(9000, "sum", 1, 10, empty=0.05),
    TableSpec(93, "sum", 1, 3, empty=0.2),
    TableSpec(568),
    TableSpec(3194, "mean", 1, 8),
    TableSpec(27),
    TableSpec(142, "sum", 1, 2, empty=0.3),
    TableSpec(105),
    TableSpec(10),
    TableSpec(286),
    TableSpec(62),
    TableSpec(4),
    TableSpec(46),
    TableSpec(18),
    TableSpec(15),
    TableSpec(36),
    TableSpec(51),
    TableSpec(12),
)
# Table pairs whose latent vectors interact in the planted click model.
PAIRS = (
    (0, 9), (2, 9), (2, 12), (3, 6), (1, 7), (4, 11), (5, 16), (8, 19), (10, 17), (13, 21), (14, 18), (2, 0),
    (20, 25),
)  # fmt: skip


@dataclass(frozen=True)
class DlrmSpec:
    """Everything that decides the model and its training, besides the seed."""

    tables: tuple[TableSpec, ...] = TABLES
    pairs: tuple[tuple[int, int], ...] = PAIRS
    dense: int = 13
    dim: int = 16
    bottom: tuple[int, ...] = (64, 32)
    top: tuple[int, ...] = (64, 32)
    batch: int = 1024
    steps: int = 1800
    rate: float = 0.003  # Adam, dense part
    table_rate: float = 0.05  # Adagrad, tables

    @property
    def bottom_sizes(self) -> tuple[int, ...]:
        return (self.dense, *self.bottom, self.dim)

    @property
    def top_sizes(self) -> tuple[int, ...]:
        vectors = 1 + len(self.tables)
        return (self.dim + vectors * (vectors - 1) // 2, *self.top, 1)

    def log(self, seed: int) -> ClickLog:
        return ClickLog(seed, self.tables, self.pairs, self.dense)


@dataclass
class Dlrm:
    """Parameters: one matrix ``[sum of rows, dim]`` for all tables, table ``k`` from row ``base[k]`` on."""

    spec: DlrmSpec
    embeddings: Array
    bottom: Layers
    top: Layers
    base: list[int] = field(default_factory=list)

    @staticmethod
    def initial(spec: DlrmSpec, seed: int) -> Dlrm:
        rng = np.random.default_rng([seed, 0, 1])
        rows = [t.rows for t in spec.tables]
        base = [0, *np.cumsum(rows).tolist()][:-1]
        embeddings = (rng.standard_normal((sum(rows), spec.dim)) * 0.05).astype(np.float32)
        bottom = nn.init_layers(rng, spec.bottom_sizes)
        return Dlrm(spec, embeddings, bottom, nn.init_layers(rng, spec.top_sizes), base)

    def table(self, k: int) -> Array:
        return self.embeddings[self.base[k] : self.base[k] + self.spec.tables[k].rows]

    def dense_parameters(self) -> list[Array]:
        return [array for pair in (*self.bottom, *self.top) for array in pair]

    def logits(self, batch: ClickBatch) -> Array:
        return self._forward(batch)[0]

    def _forward(self, batch: ClickBatch) -> tuple[Array, list[Array], Array, list[Array]]:
        """Logits ``[B]``, bottom cache, stacked vectors ``[B, F, D]``, top cache."""
        x, bottom_cache = nn.mlp_forward(self.bottom, batch.dense, last_relu=True)
        vectors = np.empty((len(x), 1 + len(batch.bags), self.spec.dim), x.dtype)
        vectors[:, 0] = x
        for k, (spec, bag) in enumerate(zip(self.spec.tables, batch.bags, strict=True)):
            rows = self.embeddings[bag.ids + self.base[k]]
            one = spec.bag == "one"
            vectors[:, 1 + k] = rows if one else nn.bag_forward(rows, bag.offsets, mean=spec.bag == "mean")
        joined = np.concatenate([x, nn.dot_forward(vectors)], axis=1)
        out, top_cache = nn.mlp_forward(self.top, joined, last_relu=False)
        return out[:, 0], bottom_cache, vectors, top_cache

    def gradients(self, batch: ClickBatch) -> tuple[float, list[Array], Array, Array]:
        """Loss, gradients of the dense parameters, touched rows ``[n]`` and their gradients ``[n, D]``."""
        logits, bottom_cache, vectors, top_cache = self._forward(batch)
        loss, dlogits = nn.cross_entropy(logits, batch.labels)
        djoined, top_grads = nn.mlp_backward(self.top, top_cache, dlogits[:, None], last_relu=False)
        dim = self.spec.dim
        dvectors = nn.dot_backward(vectors, djoined[:, dim:])
        dx = dvectors[:, 0] + djoined[:, :dim]
        _, bottom_grads = nn.mlp_backward(self.bottom, bottom_cache, dx, last_relu=True)
        rows, row_grads = [], []
        for k, (spec, bag) in enumerate(zip(self.spec.tables, batch.bags, strict=True)):
            dy = dvectors[:, 1 + k]
            rows.append(bag.ids + self.base[k])
            one = spec.bag == "one"
            row_grads.append(dy if one else nn.bag_backward(bag.offsets, dy, mean=spec.bag == "mean"))
        dense_grads = [array for pair in (*bottom_grads, *top_grads) for array in pair]
        return loss, dense_grads, np.concatenate(rows), np.concatenate(row_grads)

    def train(self, batches: Iterator[ClickBatch], steps: int) -> Iterator[float]:
        """One step per batch, yielding its loss; both rates fall linearly to a tenth over ``steps``."""
        adam, adagrad = Adam(self.dense_parameters()), RowAdagrad(self.embeddings)
        for step, batch in enumerate(batches):
            decay = 1.0 - 0.9 * step / max(steps, 1)
            loss, dense_grads, rows, row_grads = self.gradients(batch)
            adam.step(dense_grads, self.spec.rate * decay)
            adagrad.step(rows, row_grads, self.spec.table_rate * decay)
            yield loss

    def to_onnx(self) -> onnx.ModelProto:
        """``dense [batch, 13]``, ``ids_K`` (and ``offsets_K``) → ``prob [batch, 1]``, TorchScript forms."""
        g = forms.GraphWriter()
        x = g.input("dense", TensorProto.FLOAT, ["batch", self.spec.dense])
        bottom = forms.mlp(g, x, self.bottom, scope="/bot_l", last="Relu")
        pooled = [forms.table(g, k, self.table(k), spec.bag) for k, spec in enumerate(self.spec.tables)]
        joined = forms.dot_interaction(g, bottom, pooled)
        g.output("prob", TensorProto.FLOAT, ["batch", 1])
        forms.mlp(g, joined, self.top, scope="/top_l", last="Sigmoid", out="prob")
        return g.model("dlrm", opset=17, ir_version=8)

    def feeds(self, batch: ClickBatch) -> Requests:
        """The batch as graph inputs: int64 ids, bag starts without the closing end."""
        feeds: Requests = {"dense": batch.dense}
        for k, (spec, bag) in enumerate(zip(self.spec.tables, batch.bags, strict=True)):
            feeds[f"ids_{k}"] = bag.ids
            if spec.bag != "one":
                feeds[f"offsets_{k}"] = bag.offsets[:-1]
        return feeds

    def accesses(self, batch: ClickBatch) -> dict[str, Array]:
        """Ids that the batch reads, per weight initialiser."""
        bags: list[Bags] = batch.bags
        return {f"emb_l.{k}.weight": bag.ids for k, bag in enumerate(bags)}
