"""Numbers as options: no NaN, which every comparison lets through."""

from __future__ import annotations

import math
from typing import Any

import click


class Number(click.types.FloatParamType):
    """Any number, infinity included."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """``value`` as a number.

        Raises:
            click.BadParameter: for what is none, NaN among it.
        """
        return _number(self, super().convert(value, param, ctx), param, ctx)


class Positive(click.FloatRange):
    """A number above 0."""

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """``value`` as a number above 0.

        Raises:
            click.BadParameter: for what is none, NaN among it.
        """
        return _number(self, super().convert(value, param, ctx), param, ctx)


class Rate(click.types.FloatParamType):
    """Requests per second, above 0, with a suffix if wanted: ``250000``, ``250k``, ``10M``."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """``value`` in requests per second.

        Raises:
            click.BadParameter: for what is none.
        """
        text = str(value)
        factor = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1:], 0.0)
        try:
            found = float(text[:-1] if factor else text) * (factor or 1.0)
        except ValueError:
            found = math.nan
        if not 0 < found < math.inf:
            self.fail(f"{text!r} is no rate above 0, such as 250000, 250k or 10M.", param, ctx)
        return found


def _number(
    kind: click.types.FloatParamType, value: float, param: click.Parameter | None, ctx: click.Context | None
) -> float:
    if math.isnan(value):
        kind.fail("nan is not a number.", param, ctx)
    return value


NUMBER = Number()
POSITIVE = Positive()
RATE = Rate()
