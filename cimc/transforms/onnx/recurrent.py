"""GRU, LSTM and RNN of known length, step by step.

The product of the inputs with ``W`` is one layer over all steps (and both directions); each step then has a
product of the state with ``R``, the same constant every time, so that it is placed once, and elementwise
work.  The formulas are those of the ONNX operator specification; where that is silent (clipping, parameters
of activations, empty sequences) they are onnxruntime's.
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import SSAValue

from cimc.ir.onnx.attributes import Array
from cimc.ir.types import i64
from cimc.transforms.matching.nodes import node_of
from cimc.transforms.onnx.expansion import Expansion
from cimc.transforms.onnx.recurrent_cells import CELLS, GATES, Cell, Sizes, State

STEPS = 512
"""Steps, of all directions together, that one node is unrolled to."""

_TURNS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


def recurrent(w: Expansion) -> list[SSAValue | None]:
    """The results ``Y``, ``Y_h`` and, of an LSTM, ``Y_c``; None for those that nothing uses."""
    kind = w.op.op_type.data
    recurrence = w.array(2, "recurrence weights")
    w.need(recurrence is not None and recurrence.ndim == 3)
    assert recurrence is not None
    sizes = _sizes(w, recurrence)
    cells = [CELLS[kind](w, sizes, d, recurrence[d]) for d in range(len(sizes.turns))]
    lengths = _Lengths(w, sizes)
    projected = _projected(w, cells)
    runs = [_run(w, cell, sizes, projected, lengths) for cell in cells]
    results: list[SSAValue | None] = [None] * len(w.op.results)
    used = [any(True for _ in r.uses) for r in w.op.results]
    if used[0]:
        results[0] = w.concat([w.unsqueeze(w.concat(outputs, 0), 1) for outputs, _ in runs], 1)
    for k in range(1, len(used)):
        if used[k]:
            results[k] = w.concat([states[k - 1] for _, states in runs], 0)
    return results


def _sizes(w: Expansion, recurrence: Array) -> Sizes:
    shape = w.shape(w.input(0))
    w.need(len(shape) == 3)
    w.need(w.number_of("layout", 0) == 0)  # the other one is brought into this before: see layouts.py
    steps, batch = shape[0], w.analysis.batch
    w.need(isinstance(steps, int) and steps > 0, "the length of its sequences is not known at compile time")
    assert isinstance(steps, int)
    w.need(isinstance(shape[2], int), "the width of its input is not known at compile time")
    # of a single step, the one row may be the batch
    alone = steps == 1 and batch == 1
    w.need(batch is not None and (shape[1] == batch or alone), "its sequences are not one per request")
    turns = _TURNS.get(w.text_of("direction", "forward"), ())
    hidden = recurrence.shape[2]
    gates = GATES[w.op.op_type.data]
    w.need(turns and recurrence.shape == (len(turns), gates * hidden, hidden) and hidden > 0)
    w.need(w.number_of("hidden_size", hidden) == hidden)
    count = steps * len(turns)
    w.need(count <= STEPS, f"{count} steps would be unrolled, more than {STEPS}")
    return Sizes(steps, turns, hidden)


def _projected(w: Expansion, cells: list[Cell]) -> SSAValue:
    """The product of all steps with ``W`` of all directions, biases added; units by direction, then gate."""
    weights = w.array(1, "weights")
    x = w.input(0)
    width = w.dims(x)[2]
    w.need(weights is not None)
    assert weights is not None
    w.need(weights.shape == (len(cells), cells[0].count * cells[0].hidden, width))
    product = w.make(
        "MatMul", x, w.constant(np.concatenate([c.input_weights(weights) for c in cells], 1), "W")
    )
    bias = np.concatenate([c.bias().reshape(-1) for c in cells])
    return w.make("Add", product, w.constant(bias, "B")) if bias.any() else product


def _run(
    w: Expansion, cell: Cell, sizes: Sizes, projected: SSAValue, lengths: _Lengths
) -> tuple[list[SSAValue], list[SSAValue]]:
    """The output of every step, in order of time, and the last states of one direction."""
    states = initial = [_initial(w, 5 + k, cell, sizes) for k in range(cell.states)]
    wide = len(cell.gates) * cell.hidden
    outputs: dict[int, SSAValue] = {}
    order = range(lengths.valid)
    for t in reversed(order) if sizes.turns[cell.direction] else order:
        x = w.slice(projected, 0, t, t + 1) if sizes.steps > 1 else projected
        if len(sizes.turns) > 1:
            x = w.slice(x, 2, cell.direction * wide, (cell.direction + 1) * wide)
        after = cell.step(x, states)
        outputs[t] = lengths.or_zero(after[0], t)
        states = [lengths.or_before(new, old, t) for new, old in zip(after, states, strict=True)]
    last = [cell.value(s) for s in states if s is not None]
    if lengths.value is not None:  # the last states of an empty sequence are zero, whatever they were before
        last = [
            new if old is None else lengths.or_zero(new, 0) for new, old in zip(last, initial, strict=True)
        ]
    for t in range(lengths.valid, sizes.steps):
        outputs[t] = w.make("Mul", last[0], w.number(0.0))
    return [outputs[t] for t in range(sizes.steps)], last


def _initial(w: Expansion, index: int, cell: Cell, sizes: Sizes) -> State:
    """The state before the first step of a direction."""
    value = w.given(index)
    if value is None or w.analysis.info(value).splat == 0.0:
        return None
    array = _shared(w, value)
    if array is None:
        shape = w.shape(value)
        w.need(len(shape) == 3 and shape[0] == len(sizes.turns) and shape[2] == cell.hidden)
        return value if len(sizes.turns) == 1 else w.slice(value, 0, cell.direction, cell.direction + 1)
    w.need(array.ndim == 3 and array.shape[0] == len(sizes.turns) and array.shape[2] == cell.hidden)
    mine = np.asarray(array[cell.direction], np.float32)  # [batch, H]
    w.need((mine == mine[:1]).all(), "its initial state is a constant of its own for each request")
    return None if not mine.any() else np.ascontiguousarray(mine[:1].reshape(1, 1, -1))


def _shared(w: Expansion, value: SSAValue) -> Array | None:
    """The array of a constant state, also of one that is repeated along the batch."""
    repeat = node_of(value, "Expand", "Tile")
    if repeat is not None:
        found = w.analysis.constants.read(repeat.inputs[0])
        shape = w.analysis.shape(value)
        if found is None or shape is None or len(shape) != 3 or found.ndim > 3:
            return None
        wide = found.reshape((1,) * (3 - found.ndim) + found.shape)
        repeated = wide.shape[1] == 1 and (shape[0], shape[2]) == (wide.shape[0], wide.shape[2])
        return wide if repeated else None
    return w.analysis.constants.read(value)


class _Lengths:
    """``sequence_lens``: outputs past a length are zero, and the state stays what it was.

    Attributes:
        valid: steps that any sequence has.
    """

    def __init__(self, w: Expansion, sizes: Sizes) -> None:
        self.w, self.valid = w, sizes.steps
        self.value: SSAValue | None = None
        self._masks: dict[int, SSAValue] = {}
        given = w.given(4)
        if given is None:
            return
        array, splat = w.analysis.constants.read(given), w.analysis.info(given).splat
        if array is not None:
            w.need(array.size > 0 and (array == array.reshape(-1)[0]).all(), _APART)
            splat = float(array.reshape(-1)[0])
        if splat is not None:
            w.need(1 <= splat <= sizes.steps, "its sequences are empty or longer than the input")
            self.valid = int(splat)
            return
        self.value = w.reshape(w.make("Cast", given, to=IntegerAttr(1, i64)), 1, -1, 1)

    def _mask(self, t: int) -> SSAValue | None:
        """Whether step ``t`` is one of the sequence; None if it is of all."""
        if self.value is None:
            return None
        if t not in self._masks:
            self._masks[t] = self.w.make("Less", self.w.number(float(t)), self.value)
        return self._masks[t]

    def or_zero(self, x: SSAValue, t: int) -> SSAValue:
        mask = self._mask(t)
        return x if mask is None else self.w.make("Where", mask, x, self.w.number(0.0))

    def or_before(self, new: SSAValue, old: State, t: int) -> SSAValue:
        mask = self._mask(t)
        if mask is None:
            return new
        before = self.w.number(0.0) if old is None else old
        if isinstance(before, np.ndarray):
            before = self.w.constant(before)
        return self.w.make("Where", mask, new, before)


_APART = "the lengths of its sequences are a constant of its own for each request"
