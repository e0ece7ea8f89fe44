"""Extents as polynomials in the model's dynamic dimensions: ``3 * batch``, ``batch - 1``, ``27``.

A :data:`Dim` is an ``int``, a :class:`Poly` that is not constant, or ``None`` for "not known".  Symbols
stand for integers of at least 1.  :class:`Equalities` remembers which symbols operators force to be equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Monomial = tuple[str, ...]


@dataclass(frozen=True)
class Poly:
    """A polynomial with integer coefficients: sorted ``(sorted symbols, coefficient)`` pairs."""

    terms: tuple[tuple[Monomial, int], ...]

    def __str__(self) -> str:
        parts = []
        for symbols, factor in reversed(self.terms):
            shown = "*".join(symbols)
            parts.append(
                shown if factor == 1 and symbols else f"{factor}*{shown}" if symbols else str(factor)
            )
        return " + ".join(parts).replace("+ -", "- ")

    def symbols(self) -> set[str]:
        """All symbols that occur."""
        return {s for monomial, _ in self.terms for s in monomial}


Known = int | Poly
Dim = int | Poly | None


def symbol(name: str) -> Poly:
    """The polynomial that is one symbol."""
    return Poly((((name,), 1),))


def counts_up(value: Dim) -> bool:
    """Whether ``value`` is known, and 0 or more even where symbols are 0 (the number of an iteration is)."""
    return value is not None and all(factor >= 0 for factor in _terms(value).values())


def count(value: Dim) -> Dim:
    """How often a loop to ``value`` runs: not at all where that is negative; ``None`` where it may be."""
    if not isinstance(value, Poly):
        return None if value is None else max(value, 0)
    above = substitute(value, {name: _make({(name,): 1, (): 1}) for name in value.symbols()})
    return value if counts_up(above) else None


def _terms(value: Known) -> dict[Monomial, int]:
    if isinstance(value, Poly):
        return dict(value.terms)
    return {(): int(value)} if value else {}


def _make(terms: Mapping[Monomial, int]) -> Known:
    kept = {m: c for m, c in terms.items() if c}
    if not kept:
        return 0
    if set(kept) == {()}:
        return kept[()]
    return Poly(tuple(sorted(kept.items())))


def add(a: Dim, b: Dim) -> Dim:
    """``a + b``."""
    if a is None or b is None:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    terms = _terms(a)
    for monomial, factor in _terms(b).items():
        terms[monomial] = terms.get(monomial, 0) + factor
    return _make(terms)


def sub(a: Dim, b: Dim) -> Dim:
    """``a - b``."""
    return add(a, mul(b, -1))


def mul(a: Dim, b: Dim) -> Dim:
    """``a * b``; 0 absorbs the unknown."""
    if (isinstance(a, int) and a == 0) or (isinstance(b, int) and b == 0):
        return 0
    if a is None or b is None:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    terms: dict[Monomial, int] = {}
    for left, x in _terms(a).items():
        for right, y in _terms(b).items():
            monomial = tuple(sorted(left + right))
            terms[monomial] = terms.get(monomial, 0) + x * y
    return _make(terms)


def product(values: Iterable[Dim]) -> Dim:
    """The product of all ``values``; 1 for none."""
    total: Dim = 1
    for value in values:
        total = mul(total, value)
    return total


def divide(a: Dim, b: Dim) -> Dim:
    """``a / b`` where that is exact whatever the symbols are, else ``None``; ints >= 0 divide by floor."""
    if a is None or b is None or b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return a // b if (a >= 0 and b > 0) or a % b == 0 else None
    if a == b:
        return 1
    divisor = _terms(b)
    if len(divisor) != 1:
        return None
    ((symbols, factor),) = divisor.items()
    out: dict[Monomial, int] = {}
    for monomial, coefficient in _terms(a).items():
        rest = list(monomial)
        for name in symbols:
            if name not in rest:
                return None
            rest.remove(name)
        if coefficient % factor:
            return None
        out[tuple(rest)] = coefficient // factor
    return _make(out)


def substitute(value: Dim, known: Mapping[str, Known]) -> Dim:
    """``value`` with symbols replaced."""
    if not isinstance(value, Poly) or not value.symbols() & known.keys():
        return value
    total: Dim = 0
    for monomial, factor in value.terms:
        total = add(total, mul(factor, product(known.get(s, symbol(s)) for s in monomial)))
    return total


class Equalities:
    """Which symbols equal which dimension; forced by operators such as Concat."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self.changed = False

    def resolve(self, value: Dim) -> Dim:
        """``value`` in terms of the remaining free symbols."""
        while isinstance(value, Poly) and value.symbols() & self._known.keys():
            value = substitute(value, self._known)
        return value

    def equate(self, a: Dim, b: Dim) -> None:
        """Note that ``a`` and ``b`` are equal; without effect unless one is a single free symbol.

        The name of a model's dimension stays, one that was made up (``?0``) goes.
        """
        a, b = self.resolve(a), self.resolve(b)
        if a is None or b is None or a == b:
            return
        ways = ((_single(b), a), (_single(a), b))
        for name, value in sorted(ways, key=lambda way: not (way[0] or "").startswith("?")):
            if name is not None and not (isinstance(value, Poly) and name in value.symbols()):
                self._known[name] = value
                self.changed = True
                return


def _single(value: Known) -> str | None:
    if isinstance(value, Poly) and len(value.terms) == 1:
        symbols, factor = value.terms[0]
        if factor == 1 and len(symbols) == 1:
            return symbols[0]
    return None
