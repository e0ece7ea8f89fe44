"""What a step of a recurrent layer computes, by operator, and the activations it may have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ArrayAttr, DenseArrayBase, FloatAttr, StringAttr
from xdsl.ir import SSAValue

from cimc.analysis.constants import float_attribute
from cimc.ir.onnx.attributes import Array
from cimc.ir.types import f32
from cimc.transforms.onnx.expansion import Expansion

Floats = NDArray[np.float32]
State = SSAValue | Floats | None
"""``[1, batch, H]``, or ``[1, 1, H]`` known at compile time; None: zeros."""
Function = Callable[[SSAValue], SSAValue]

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_FUNCTIONS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}

_PARAMETERS: dict[str, tuple[str, tuple[float | None, ...]]] = {
    "affine": ("Affine", (None, None)),
    "relu": ("Relu", ()),
    "leakyrelu": ("LeakyRelu", (0.01,)),
    "thresholdedrelu": ("ThresholdedRelu", (None,)),
    "tanh": ("Tanh", ()),
    "scaledtanh": ("ScaledTanh", (None, None)),
    "sigmoid": ("Sigmoid", ()),
    "hardsigmoid": ("HardSigmoid", (0.2, 0.5)),
    "elu": ("Elu", (1.0,)),
    "softsign": ("Softsign", ()),
    "softplus": ("Softplus", ()),
}
"""Activations by name, however it is capitalised, with the defaults of alpha and beta.

Where there is none, onnxruntime takes 0, and the specification 1 or nothing at all.
"""


@dataclass(frozen=True)
class Sizes:
    """Of a recurrent node.

    Attributes:
        steps: length of the sequences.
        turns: for each direction, whether it starts at the end.
        hidden: units of the state.
    """

    steps: int
    turns: tuple[bool, ...]
    hidden: int


class Cell:
    """The weights of one direction and what a step computes.

    Attributes:
        gates: gates in the order of the columns that a step gets from the input; some may be left out.
    """

    gates: tuple[int, ...]
    states = 1

    def __init__(self, w: Expansion, sizes: Sizes, direction: int, recurrence: Array) -> None:
        self.w, self.sizes, self.direction = w, sizes, direction
        self.hidden = sizes.hidden
        self.kind = w.op.op_type.data
        self.recurrence = np.asarray(recurrence, np.float32)
        self.count = GATES[self.kind]
        self.limit = float_attribute(w.op, "clip", 0.0)
        self.functions = _functions(w, len(sizes.turns))[direction]
        biases = w.array(3, "biases")
        wide = 2 * self.count * self.hidden
        w.need(biases is None or biases.shape == (len(sizes.turns), wide))
        given = np.zeros(wide, np.float32) if biases is None else np.asarray(biases[direction], np.float32)
        self.bias_w, self.bias_r = given.reshape(2, self.count, self.hidden)
        self._products: dict[tuple[int, ...], tuple[Floats, SSAValue]] = {}
        self.setup()

    def setup(self) -> None:
        """Read what only this operator has."""

    def bias(self) -> Floats:
        """What is added to the product of the input, ``[gates, H]``."""
        total: Floats = self.bias_w + self.bias_r
        return total[list(self.gates)]

    def input_weights(self, weights: Array) -> Floats:
        """``[I, gates * H]`` of ``W [directions, gates * H, I]``."""
        mine = np.asarray(weights[self.direction], np.float32)
        return np.ascontiguousarray(self.columns(mine, self.gates).T)

    def columns(self, array: Floats, gates: tuple[int, ...]) -> Floats:
        """The rows of some gates of an array ``[all gates * H, n]``."""
        blocks = array.reshape(self.count, self.hidden, -1)
        return blocks[list(gates)].reshape(len(gates) * self.hidden, -1)

    def step(self, x: SSAValue, states: list[State]) -> list[SSAValue]:
        """States after a step with ``x [.., gates * H]`` from the input."""
        raise NotImplementedError

    # -- terms of the formulas ----------------------------------------------------------------------

    def times(self, state: State, gates: tuple[int, ...]) -> State:
        """``state`` times the transposed recurrence weights of ``gates``."""
        if state is None:
            return None
        if gates not in self._products:
            matrix = np.ascontiguousarray(self.columns(self.recurrence, gates).T)
            name = "R" if len(self.sizes.turns) == 1 else f"R{self.direction}"
            suffix = "" if len(gates) == self.count else f".{''.join(map(str, gates))}"
            self._products[gates] = matrix, self.w.constant(matrix, name + suffix)
        matrix, stored = self._products[gates]
        if isinstance(state, np.ndarray):
            return np.asarray(state @ matrix, np.float32)
        return self.w.make("MatMul", state, stored)

    def gate(self, x: SSAValue, at: int, count: int = 1) -> SSAValue:
        """Columns of ``count`` gates from the ``at``-th on."""
        return self.w.slice(x, 2, at * self.hidden, (at + count) * self.hidden)

    def add(self, x: SSAValue, y: State) -> SSAValue:
        return x if y is None else self.w.make("Add", x, self.value(y))

    def mul(self, x: SSAValue, y: State) -> State:
        return None if y is None else self.w.make("Mul", x, self.value(y))

    def value(self, x: SSAValue | Floats) -> SSAValue:
        return x if isinstance(x, SSAValue) else self.w.constant(x)

    def activate(self, x: SSAValue, function: int) -> SSAValue:
        """Activation number ``function`` of ``x``, clipped before if the node says so."""
        if self.limit > 0:
            x = _clip(self.w, x, self.limit)
        return self.functions[function](x)


class _Rnn(Cell):
    """``H = f(X W' + H R' + Wb + Rb)``."""

    gates = (0,)

    def step(self, x: SSAValue, states: list[State]) -> list[SSAValue]:
        return [self.activate(self.add(x, self.times(states[0], (0,))), 0)]


class _Gru(Cell):
    """Gates z, r, h::

    z, r = f(X W' + H R' + Wb + Rb)
    h    = g(X Wh' + (r . H) Rh' + Rbh + Wbh)     linear_before_reset: r . (H Rh' + Rbh)
    H    = (1 - z) . h + z . H
    """

    gates = (0, 1, 2)

    def setup(self) -> None:
        self.late = bool(self.w.number_of("linear_before_reset", 0))
        self.inner = self.bias_r[2].reshape(1, 1, -1)

    def bias(self) -> Floats:
        total = super().bias()
        if self.late:
            total[2] = self.bias_w[2]
        return total

    def step(self, x: SSAValue, states: list[State]) -> list[SSAValue]:
        state, w = states[0], self.w
        first = self.times(state, self.gates if self.late else (0, 1))
        both = self.gate(x, 0, 2)
        if self.late and first is not None:
            first = self.value(first)
            both = self.add(both, self.gate(first, 0, 2))
        else:
            both = self.add(both, first)
        both = self.activate(both, 0)
        update, reset = self.gate(both, 0), self.gate(both, 1)
        if self.late:
            inner: State = None if first is None else self.gate(self.value(first), 2)
            if self.inner.any():
                inner = self.inner if inner is None else self.add(self.value(inner), self.inner)
            addend = self.mul(reset, inner)
        else:
            addend = self.times(self.mul(reset, state), (2,))
        found = self.activate(self.add(self.gate(x, 2), addend), 1)
        if state is None:
            return [w.make("Sub", found, w.make("Mul", update, found))]
        change = w.make("Mul", update, w.make("Sub", self.value(state), found))
        return [w.make("Add", found, change)]


class _Lstm(Cell):
    """Gates i, o, f, c; peepholes ``Pi``, ``Po``, ``Pf``::

    i, f = f(X W' + H R' + P . C + Wb + Rb)       input_forget: f = 1 - i
    c    = g(X Wc' + H Rc' + Wbc + Rbc)
    C    = f . C + i . c
    o    = f(X Wo' + H Ro' + Po . C + Wbo + Rbo)
    H    = o . h(C)
    """

    states = 2

    def setup(self) -> None:
        w = self.w
        self.coupled = bool(w.number_of("input_forget", 0))
        self.gates = (0, 1, 3) if self.coupled else (0, 1, 2, 3)
        peepholes = w.array(7, "peepholes")
        w.need(peepholes is None or peepholes.shape == (len(self.sizes.turns), 3 * self.hidden))
        self.peepholes: list[SSAValue] | None = None
        if peepholes is not None and peepholes.any():
            rows = np.asarray(peepholes[self.direction], np.float32).reshape(3, 1, 1, self.hidden)
            self.peepholes = [w.constant(np.ascontiguousarray(row), "P") for row in rows]

    def step(self, x: SSAValue, states: list[State]) -> list[SSAValue]:
        w, before = self.w, states[1]
        total = self.add(x, self.times(states[0], self.gates))
        last = len(self.gates) - 1
        if self.peepholes is None:
            shares = self.activate(self.gate(total, 0, last), 0)
            enter, leave = self.gate(shares, 0), self.gate(shares, 1)
            keep = w.make("Sub", w.number(1.0), enter) if self.coupled else self.gate(shares, 2)
        else:
            enter = self.peep(total, 0, before)
            keep = w.make("Sub", w.number(1.0), enter) if self.coupled else self.peep(total, 2, before)
        found = w.make("Mul", enter, self.activate(self.gate(total, last), 1))
        memory = self.add(found, self.mul(keep, before))
        if self.peepholes is not None:
            leave = self.peep(total, 1, memory)
        return [w.make("Mul", leave, self.functions[2](memory)), memory]

    def peep(self, total: SSAValue, gate: int, memory: State) -> SSAValue:
        """A gate that also sees the memory."""
        assert self.peepholes is not None
        return self.activate(self.add(self.gate(total, gate), self.mul(self.peepholes[gate], memory)), 0)


CELLS: dict[str, type[Cell]] = {"RNN": _Rnn, "GRU": _Gru, "LSTM": _Lstm}


# -- activations --------------------------------------------------------------------------------------


def _clip(w: Expansion, x: SSAValue, limit: float) -> SSAValue:
    if w.opset < 11:
        return w.make("Clip", x, min=FloatAttr(-limit, f32), max=FloatAttr(limit, f32))
    return w.make("Clip", x, w.number(-limit), w.number(limit))


def _functions(w: Expansion, directions: int) -> list[list[Function]]:
    """The activations of each direction."""
    usual = _FUNCTIONS[w.op.op_type.data]
    given = w.op.attribute("activations")
    names = [usual[k % len(usual)] for k in range(len(usual) * directions)]
    if isinstance(given, ArrayAttr):
        names = [a.data for a in given if isinstance(a, StringAttr)]
    w.need(len(names) == len(usual) * directions, "its activations are not as many as it has")
    left = {key: _floats(w, f"activation_{key}") for key in ("alpha", "beta")}
    made: list[Function] = []
    for name in names:
        w.need(name.lower() in _PARAMETERS, f"its activation {name} is unknown")
        kind, defaults = _PARAMETERS[name.lower()]
        w.need(kind != "ThresholdedRelu" or w.opset >= 10, f"operator set {w.opset} has no {kind}")
        numbers: list[float] = []
        for key, default in zip(("alpha", "beta"), defaults, strict=False):
            number = left[key].pop(0) if left[key] else default
            w.need(number is not None, f"{key} of its activation {kind} is not given")
            assert number is not None
            numbers.append(number)
        made.append(_function(w, kind, numbers))
    return [made[d * len(usual) : (d + 1) * len(usual)] for d in range(directions)]


def _floats(w: Expansion, name: str) -> list[float]:
    found = w.op.attribute(name)
    values: list[Any] = list(found.get_values()) if isinstance(found, DenseArrayBase) else []
    return [float(v) for v in values]


def _function(w: Expansion, kind: str, numbers: list[float]) -> Function:
    if kind == "Affine":
        alpha, beta = numbers
        return lambda x: w.make("Add", w.scaled(x, alpha), w.number(beta))
    if kind == "ScaledTanh":
        alpha, beta = numbers
        return lambda x: w.scaled(w.make("Tanh", w.scaled(x, beta)), alpha)
    attrs = {key: FloatAttr(n, f32) for key, n in zip(("alpha", "beta"), numbers, strict=False)}
    return lambda x: w.make(kind, x, **attrs)
