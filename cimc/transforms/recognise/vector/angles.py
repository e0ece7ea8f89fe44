"""Sine, cosine and arctangent from the vector unit's arithmetic.

The polynomials are fitted to the least maximal error (about 5e-9, well below the precision of f32) by
weighted least squares on Chebyshev nodes of their interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from xdsl.ir import SSAValue

from cimc.transforms.recognise.layout.shared_operands import Terms

_SIN = (2.6000543244e-06, -0.00019806614996, 0.0083330172885, -0.16666657096)
"""``(sin r - r) / r^3`` in powers of ``r^2``, highest first, for ``|r| <= pi / 2``."""
_ATAN = (0.079025829236, -0.13824448621, 0.19971878763, -0.33332756651)
"""``(atan t - t) / t^3`` in powers of ``t^2``, highest first, for ``|t| <= tan(pi / 8)``."""
_PI = (3.140625, 9.67502593994140625e-4, 1.509957990978376432e-7)
"""pi in three parts: the first two have so few bits that integers up to 2^13 times them are exact in f32."""


def _odd(t: Terms, x: SSAValue, coefficients: Sequence[float]) -> SSAValue:
    """``x + x^3 * polynomial(x^2)``."""
    square = t("mul", x, x)
    value = t("add", t("mul", square, coefficients[0]), coefficients[1])
    for factor in coefficients[2:]:
        value = t("add", t("mul", value, square), factor)
    return t("add", x, t("mul", t("mul", x, square), value))


def _turned(t: Terms, x: SSAValue, halves: SSAValue, turns: SSAValue) -> SSAValue:
    """``(-1)^turns * sin(x - halves * pi)``."""
    for part in _PI:
        x = t("sub", x, t("mul", halves, part))
    odd = t("sub", turns, t("mul", t.unary("floor", t("mul", turns, 0.5)), 2.0))
    sign = t("add", t("mul", odd, -2.0), 1.0)
    return t("mul", sign, _odd(t, x, _SIN))


def sine(t: Terms) -> SSAValue:
    """``sin x = (-1)^n sin(x - n pi)`` with the nearest ``n``."""
    turns = t.unary("round", t("mul", t.x, 1 / math.pi))
    return _turned(t, t.x, turns, turns)


def cosine(t: Terms) -> SSAValue:
    """``cos x = (-1)^(n + 1) sin(x - (n + 1/2) pi)`` with the nearest ``n + 1/2``."""
    turns = t.unary("floor", t("mul", t.x, 1 / math.pi))
    return _turned(t, t.x, t("add", turns, 0.5), t("add", turns, 1.0))


def arctangent(t: Terms) -> SSAValue:
    """``atan |x|`` is ``pi/2 - atan(1 / |x|)`` beyond 1, and ``atan u = 2 atan(u / (1 + sqrt(1 + u^2)))``."""
    size = t.unary("abs", t.x)
    small = t("div", t("min", size, 1.0), t("max", size, 1.0))
    root = t.unary("sqrt", t("add", t("mul", small, small), 1.0))
    angle = t("mul", _odd(t, t("div", small, t("add", root, 1.0)), _ATAN), 2.0)
    rest = t("add", t("mul", angle, -2.0), math.pi / 2)
    beyond = t("less", t.number(1.0), size)
    return t("mul", t.unary("sign", t.x), t("add", angle, t("mask", rest, beyond)))
