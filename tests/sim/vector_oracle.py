"""What vector instructions mean, element by element in plain Python: the definition of ``docs/isa.md``.

Nothing here comes from numpy's arithmetic or from ``cimc.interpreter.numerics``: integers are Python's,
floats are Python's doubles rounded to f32 after each operation (which for ``+ - * /`` and roots equals
rounding the exact result once, as a double has more than twice the digits), and functions without an exact
result are computed in decimals of 60 digits.  One request at a time.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, localcontext

INF, NAN = math.inf, math.nan
Number = int | float
MANY = Context(prec=60, Emax=10**8, Emin=-(10**8))
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def f32(x: float) -> float:
    """``x`` rounded to f32, halves to even; what is too large becomes infinite."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", x))[0])
    except OverflowError:
        return math.copysign(INF, x)


def i32(x: int) -> int:
    """``x`` modulo 2^32, in two's complement."""
    return (x + (1 << 31)) % (1 << 32) - (1 << 31)


# -- f32 operations that have an exact result -----------------------------------------------------------


def add(a: float, b: float) -> float:
    return f32(a + b)


def sub(a: float, b: float) -> float:
    return f32(a - b)


def mul(a: float, b: float) -> float:
    return f32(a * b)


def div(a: float, b: float) -> float:
    if b == 0:
        return NAN if a == 0 or math.isnan(a) else math.copysign(INF, a) * math.copysign(1, b)
    return f32(a / b)


def sqrt(x: float) -> float:
    return NAN if x < 0 else f32(math.sqrt(x))


def larger(a: float, b: float) -> float:
    """NaN if either is; the sign of a zero among zeros is not specified."""
    return NAN if a != a or b != b else max(a, b)


def smaller(a: float, b: float) -> float:
    return NAN if a != a or b != b else min(a, b)


def whole(function: Callable[[float], int], x: float) -> float:
    """An integer of ``x``, with its sign even where it is zero."""
    return x if math.isnan(x) or math.isinf(x) else math.copysign(float(function(x)), x)


def sign(x: float) -> float:
    return x if math.isnan(x) else float((x > 0) - (x < 0))


# -- functions that have none ---------------------------------------------------------------------------


def _rounded(value: Decimal) -> float:
    return f32(float(value))


def _exp(x: Decimal) -> Decimal:
    return Decimal(0) if x < -100_000 else x.exp()


def exp(x: float) -> float:
    if not math.isfinite(x):
        return 0.0 if x == -INF else x
    return INF if x > 200 else _rounded(_exp(Decimal(x)))


def log(x: float) -> float:
    if math.isnan(x) or x == INF:
        return x
    if x <= 0:
        return NAN if x < 0 else -INF
    return _rounded(Decimal(x).ln())


def sigmoid(x: float) -> float:
    if not math.isfinite(x):
        return x if math.isnan(x) else float(x > 0)
    return float(x > 0) if abs(x) > 200 else _rounded(1 / (1 + _exp(-Decimal(x))))


def tanh(x: float) -> float:
    if x == 0 or math.isnan(x):
        return x
    if abs(x) > 50:
        return math.copysign(1.0, x)
    e = _exp(2 * Decimal(x))
    return _rounded((e - 1) / (e + 1))


def erf(x: float) -> float:
    if x == 0 or math.isnan(x):
        return x
    if abs(x) > 6:
        return math.copysign(1.0, x)
    z, total, term, n = Decimal(x), Decimal(0), Decimal(x), 0
    while abs(term) > Decimal(10) ** -55 * abs(z):  # sum of (-1)^n z^(2n+1) / (n! (2n+1))
        total += term / (2 * n + 1)
        n += 1
        term = -term * z * z / n
    return _rounded(2 * total / PI.sqrt())


def softplus(x: float) -> float:
    if not math.isfinite(x):
        return 0.0 if x == -INF else x
    return x if x > 200 else _rounded((1 + _exp(Decimal(x))).ln()) if x > -50 else exp(x)


def elu(x: float, alpha: float) -> float:
    if not x < 0:
        return x
    grown = Decimal(-1) if x < -1000 else _exp(Decimal(x)) - 1
    return f32(alpha * float(grown))


def power(a: float, b: float) -> float:
    """C's ``pow``, rounded once from a double."""
    if a == 1 or b == 0:
        return 1.0
    try:
        return f32(math.pow(a, b))
    except OverflowError:
        return -INF if a < 0 and b % 2 == 1 else INF
    except ValueError:  # a negative base with a broken power; zero with a negative one
        if a != 0:
            return NAN
        return math.copysign(INF, a) if b % 2 == 1 else INF


UNARY: dict[str, Callable[[float, float, float], float]] = {
    "relu": lambda x, a, b: larger(x, 0.0),
    "leaky_relu": lambda x, a, b: x if x >= 0 else mul(x, a),
    "sigmoid": lambda x, a, b: sigmoid(x),
    "tanh": lambda x, a, b: tanh(x),
    "exp": lambda x, a, b: exp(x),
    "log": lambda x, a, b: log(x),
    "sqrt": lambda x, a, b: sqrt(x),
    "neg": lambda x, a, b: -x,
    "abs": lambda x, a, b: abs(x),
    "reciprocal": lambda x, a, b: div(1.0, x),
    "clip": lambda x, a, b: smaller(larger(x, a), b),
    "erf": lambda x, a, b: erf(x),
    "softplus": lambda x, a, b: softplus(x),
    "elu": lambda x, a, b: elu(x, a),
    "sign": lambda x, a, b: sign(x),
    "floor": lambda x, a, b: whole(math.floor, x),
    "ceil": lambda x, a, b: whole(math.ceil, x),
    "round": lambda x, a, b: whole(round, x),
}
BINARY: dict[str, Callable[[float, float], float]] = {
    "add": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "max": larger,
    "min": smaller,
    "pow": power,
    "prelu": lambda a, b: a if a >= 0 else mul(a, b),
    "less": lambda a, b: float(a < b),
    "less_equal": lambda a, b: float(a <= b),
    "equal": lambda a, b: float(a == b),
    "mask": lambda a, b: a if b != 0 else 0.0,
}


def _integer_div(a: int, b: int) -> int:
    return 0 if b == 0 else i32((abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1))


INTEGER: dict[str, Callable[[int, int], Number]] = {
    "add": lambda a, b: i32(a + b),
    "sub": lambda a, b: i32(a - b),
    "mul": lambda a, b: i32(a * b),
    "div": _integer_div,
    "max": max,
    "min": min,
    "prelu": lambda a, b: a if a >= 0 else i32(a * b),
    "less": lambda a, b: float(a < b),
    "less_equal": lambda a, b: float(a <= b),
    "equal": lambda a, b: float(a == b),
    "mask": lambda a, b: a if b != 0 else 0,
}
INEXACT = {
    "sigmoid": 4, "tanh": 4, "exp": 4, "log": 4, "softplus": 4, "elu": 4, "pow": 4, "erf": 1,
}  # fmt: skip
"""Functions that are promised to so many units in the last place of the true value; all others exactly."""
FREE_ZEROS = frozenset({"relu", "clip", "max", "min"})
"""Functions of which the sign of a zero is not specified."""


# -- instructions ---------------------------------------------------------------------------------------


def unary(fn: str, x: Sequence[float], alpha: float, beta: float) -> list[float]:
    with localcontext(MANY):
        return [UNARY[fn](v, alpha, beta) for v in x]


def reduce(fn: str, x: Sequence[float], outer: int, n: int, inner: int) -> list[float]:
    def over(values: list[float]) -> float:
        if fn in ("max", "min"):
            best = values[0]
            for v in values[1:]:
                best = larger(best, v) if fn == "max" else smaller(best, v)
            return best
        total = 0.0
        for v in values:
            total = add(total, mul(v, v) if fn == "l2" else v)
        return div(total, f32(n)) if fn == "mean" else sqrt(total) if fn == "l2" else total

    return [over([x[(o * n + k) * inner + i] for k in range(n)]) for o in range(outer) for i in range(inner)]


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    total = 0.0
    for v, w in zip(a, b, strict=True):
        total = add(total, mul(v, w))
    return total


def dots(x: Sequence[float], pairs: Sequence[int], dim: int) -> list[float]:
    n = len(pairs) // 2
    rows = [x[k : k + dim] for k in range(0, len(x), dim)]
    return [dot(rows[pairs[p]], rows[pairs[n + p]]) for p in range(n)]


def matmul(a: Sequence[float], b: Sequence[float], m: int, k: int, n: int) -> list[float]:
    return [dot(a[r * k : r * k + k], [b[j * n + c] for j in range(k)]) for r in range(m) for c in range(n)]


def quantised(x: float, scale: float, bits: int, signed: bool) -> int:
    high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    low = -high if signed else 0
    q = div(x, scale)
    if math.isnan(q):
        return 0
    return high if q >= high else low if q <= low else round(q)


def dequantised(x: int, factor: float, bias: float) -> float:
    return add(mul(f32(float(x)), factor), bias)


def integer_of(x: float) -> int:
    """Towards zero; the smallest integer for what does not fit, and for NaN."""
    return math.trunc(x) if math.isfinite(x) and -(2**31) <= math.trunc(x) < 2**31 else -(2**31)
