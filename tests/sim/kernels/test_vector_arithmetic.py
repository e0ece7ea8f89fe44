"""Vector instructions on many requests: compiled and numpy give the same bytes."""

import numpy as np
import pytest

from cimc.interpreter import numerics
from cimc.isa.instructions import Ref, instr
from cimc.sim import vector_unit
from cimc.sim.kernels import availability, vector_arithmetic
from cimc.sim.memory import Memory

pytest.importorskip("numba")
ODD = [np.nan, np.inf, -np.inf, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 127.5, 255.5, 1e30, -1e-40]


def floats(rng, requests, n):
    x = (rng.normal(size=(requests, n)) * 90).astype(np.float32)
    x[0, : len(ODD)] = ODD
    x[1] = np.arange(n) * 0.5 - 30  # halves
    return x


@pytest.mark.parametrize(("bits", "signed"), [(8, True), (8, False), (3, True), (1, False)])
@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_quantise(bits, signed, scale):
    n = 150  # two vectors of 64 and a rest
    memory = np.zeros((40, 1024), np.uint8)
    x = floats(np.random.default_rng(1), 40, n)
    memory.view(np.float32)[:, 5 : 5 + n] = x
    high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    vector_arithmetic.quant(memory.view(np.float32), 5, scale, -high if signed else 0, high, memory, 700, n)
    expected = numerics.quantize(x, scale, bits, signed).view(np.uint8)
    np.testing.assert_array_equal(memory[:, 700 : 700 + n], expected)
    assert not memory[:, 700 + n :].any()


@pytest.mark.parametrize("dst", [0, 800, 480])  # in place, apart, and partly over the operand
@pytest.mark.parametrize("name", ["quant", "dequant", "relu"])
def test_instructions(name, dst, monkeypatch):
    n, requests = 150, 60
    rng = np.random.default_rng(2)
    constants = np.zeros((1, 1200), np.uint8)
    constants.view(np.float32)[:] = rng.normal(size=300)
    start = np.zeros((requests, 1600), np.uint8)
    if name == "dequant":
        start.view(np.int32)[:, :n] = rng.integers(-(2**31), 2**31 - 1, (requests, n))
        item = instr(
            "dequant", dst=Ref(dst), src=Ref(0), factors=Ref(0, 0, True), bias=Ref(600, 0, True), n=n
        )
    else:
        start.view(np.float32)[:, :n] = floats(rng, requests, n)
        item = (
            instr("quant", dst=Ref(dst), src=Ref(0), n=n, scale=0.6, bits=8, sign="signed")
            if name == "quant"
            else instr("unary", dst=Ref(dst), src=Ref(0), n=n, fn="relu", alpha=0.0, beta=0.0)
        )
    found = []
    for which in ("numba", "numpy"):
        monkeypatch.setenv(availability.VARIABLE, which)
        assert vector_arithmetic.serves(requests, n) == (which == "numba")
        memory = Memory(start.copy(), constants)
        vector_unit.VECTOR[item.name](memory, item, 0)
        found.append(memory.scratchpad)
    if name == "relu":  # NaN stays NaN, whichever
        a, b = (m.view(np.float32) for m in found)
        np.testing.assert_array_equal(a, b)
    else:
        np.testing.assert_array_equal(*found)
