"""The small two-tower model: user and item vectors of unit length, click score from their scaled product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto

from models import layers as nn
from models import onnx_forms as forms
from models.bag_sequence import sequence_mean_bag
from models.layers import Layers
from models.optim import Adam, RowAdagrad
from models.requests import Requests
from models.retrieval_log import RetrievalLog, RetrievalSpec, TowerBatch
from models.synthetic import Array

USERS = {"user_id": 8000, "gender": 3, "age": 7, "occupation": 21, "zip": 500}
ITEMS = {"item_id": 4000, "category": 18, "brand": 300}


@dataclass(frozen=True)
class TwoTowerSpec:
    """Everything that decides the model and its training, besides the seed."""

    data: RetrievalSpec = field(default_factory=lambda: RetrievalSpec(USERS, ITEMS))
    dim: int = 16
    hidden: tuple[int, ...] = (64,)
    out_dim: int = 32
    batch: int = 1024
    steps: int = 600
    rate: float = 0.003  # Adam, dense part
    table_rate: float = 0.05  # Adagrad, tables

    def log(self, seed: int) -> RetrievalLog:
        return RetrievalLog(seed, self.data)


@dataclass
class _Tower:
    """What the backward pass of one tower needs."""

    unit: Array
    norm: Array
    cache: list[Array]


@dataclass
class TwoTower:
    """Parameters: one matrix for all tables (``base``: first row by name), two MLPs, the score's scale.

    The item table serves the item tower and the user's history alike.
    """

    spec: TwoTowerSpec
    embeddings: Array
    base: dict[str, int]
    user_mlp: Layers
    item_mlp: Layers
    scale: Array  # [1]

    @staticmethod
    def initial(spec: TwoTowerSpec, seed: int) -> TwoTower:
        rng = np.random.default_rng([seed, 0, 1])
        sizes = {**spec.data.users, **spec.data.items}
        starts = np.cumsum([0, *sizes.values()]).tolist()
        embeddings = (rng.standard_normal((starts[-1], spec.dim)) * 0.05).astype(np.float32)
        user_width, item_width = (len(spec.data.users) + 1) * spec.dim, len(spec.data.items) * spec.dim
        user_mlp = nn.init_layers(rng, (user_width, *spec.hidden, spec.out_dim))
        item_mlp = nn.init_layers(rng, (item_width, *spec.hidden, spec.out_dim))
        base = dict(zip(sizes, starts, strict=False))
        return TwoTower(spec, embeddings, base, user_mlp, item_mlp, np.full(1, 5.0, np.float32))

    @property
    def _item_key(self) -> str:
        return next(iter(self.spec.data.items))

    def table(self, name: str) -> Array:
        rows = {**self.spec.data.users, **self.spec.data.items}[name]
        return self.embeddings[self.base[name] : self.base[name] + rows]

    def _rows(self, columns: dict[str, Array]) -> list[Array]:
        return [ids + self.base[name] for name, ids in columns.items()]

    def logits(self, batch: TowerBatch) -> Array:
        user, item = self._forward(batch)
        return np.asarray(self.scale * (user.unit * item.unit).sum(axis=1))

    def _forward(self, batch: TowerBatch) -> tuple[_Tower, _Tower]:
        user = [self.embeddings[rows] for rows in self._rows(batch.users)]
        clicked = self.embeddings[batch.history.ids + self.base[self._item_key]]
        user.append(nn.bag_forward(clicked, batch.history.offsets, mean=True))
        item = [self.embeddings[rows] for rows in self._rows(batch.items)]
        towers = []
        for layers, features in ((self.user_mlp, user), (self.item_mlp, item)):
            x, cache = nn.mlp_forward(layers, np.concatenate(features, axis=1), last_relu=False)
            towers.append(_Tower(*nn.normalise_forward(x), cache))
        return towers[0], towers[1]

    def gradients(self, batch: TowerBatch) -> tuple[float, list[Array], Array, Array]:
        """Loss, gradients of :meth:`dense_parameters`, touched rows ``[n]`` and gradients ``[n, dim]``."""
        user, item = self._forward(batch)
        dots = (user.unit * item.unit).sum(axis=1)
        loss, dlogits = nn.cross_entropy(self.scale * dots, batch.labels)
        ddots = (dlogits * self.scale)[:, None]
        dense_grads: list[Array] = []
        features = []
        for layers, tower, other in ((self.user_mlp, user, item), (self.item_mlp, item, user)):
            dx = nn.normalise_backward(tower.unit, tower.norm, ddots * other.unit)
            dfeatures, grads = nn.mlp_backward(layers, tower.cache, dx, last_relu=False)
            dense_grads += [array for pair in grads for array in pair]
            features.append(np.split(dfeatures, dfeatures.shape[1] // self.spec.dim, axis=1))
        dense_grads.append(np.array([(dlogits * dots).sum()], self.scale.dtype))
        *user_features, history = features[0]
        rows = [*self._rows(batch.users), batch.history.ids + self.base[self._item_key]]
        rows += self._rows(batch.items)
        spread = nn.bag_backward(batch.history.offsets, history, mean=True)
        row_grads = [*user_features, spread, *features[1]]
        return loss, dense_grads, np.concatenate(rows), np.concatenate(row_grads)

    def dense_parameters(self) -> list[Array]:
        layers = (*self.user_mlp, *self.item_mlp)
        return [*(array for pair in layers for array in pair), self.scale]

    def train(self, batches: Iterator[TowerBatch], steps: int) -> Iterator[float]:
        """One step per batch, yielding its loss; both rates fall linearly to a tenth over ``steps``."""
        adam, adagrad = Adam(self.dense_parameters()), RowAdagrad(self.embeddings)
        for step, batch in enumerate(batches):
            decay = 1.0 - 0.9 * step / max(steps, 1)
            loss, dense_grads, rows, row_grads = self.gradients(batch)
            adam.step(dense_grads, self.spec.rate * decay)
            adagrad.step(rows, row_grads, self.spec.table_rate * decay)
            yield loss

    def to_onnx(self) -> onnx.ModelProto:
        """One id per user and item feature ``[batch]``, ``history [nnz]`` with ``history_offsets [batch]``
        → ``score [batch]``, ``user_vec`` and ``item_vec [batch, out_dim]``, in ``torch.export`` forms."""
        spec, dim = self.spec, self.spec.dim
        g = forms.GraphWriter()
        weights = {name: g.weight(f"embedding.{name}.weight", self.table(name)) for name in self.base}
        users = {name: g.input(name, TensorProto.INT64, ["batch"]) for name in spec.data.users}
        history = g.input("history", TensorProto.INT64, ["nnz"])
        offsets = g.input("history_offsets", TensorProto.INT64, ["batch"])
        items = {name: g.input(name, TensorProto.INT64, ["batch"]) for name in spec.data.items}

        def gathered(columns: dict[str, str]) -> list[str]:
            return [
                g.op("Gather", [weights[n], ids], scope="/embedding", axis=0) for n, ids in columns.items()
            ]

        pooled = sequence_mean_bag(g, weights[self._item_key], dim, history, offsets, scope="/history")
        vectors = []
        for side, layers, columns, more in (
            ("user", self.user_mlp, users, [pooled]),
            ("item", self.item_mlp, items, []),
        ):
            x = forms.concat_features(g, [*gathered(columns), *more], dim, scope=f"/{side}_features")
            x = forms.mlp(g, x, layers, scope=f"/{side}_mlp")
            batch_of = next(iter(columns.values()))
            name = forms.l2_normalise(g, x, spec.out_dim, batch_of, scope=f"/{side}", out=f"{side}_vec")
            vectors.append(name)
        product = g.op("Mul", vectors)
        dot = g.op("ReduceSum", [product, g.const([1])], keepdims=0, noop_with_empty_axes=0)
        scaled = g.op("Mul", [dot, g.weight("scale", self.scale.reshape(()))])
        g.op("Sigmoid", [scaled], out="score")
        g.output("score", TensorProto.FLOAT, ["batch"])
        for name in vectors:
            g.output(name, TensorProto.FLOAT, ["batch", spec.out_dim])
        return g.model("twotower", opset=18, ir_version=10)

    def feeds(self, batch: TowerBatch) -> Requests:
        """The batch as graph inputs: int64 ids, history starts without the closing end."""
        history = {"history": batch.history.ids, "history_offsets": batch.history.offsets[:-1]}
        return {**batch.users, **history, **batch.items}

    def accesses(self, batch: TowerBatch) -> dict[str, Array]:
        """Ids that the batch reads, per weight initialiser; the history reads the item table."""
        read = {f"embedding.{name}.weight": ids for name, ids in {**batch.users, **batch.items}.items()}
        key = f"embedding.{self._item_key}.weight"
        read[key] = np.concatenate([read[key], batch.history.ids])
        return read
