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


def _number(
    kind: click.types.FloatParamType, value: float, param: click.Parameter | None, ctx: click.Context | None
) -> float:
    if math.isnan(value):
        kind.fail("nan is not a number.", param, ctx)
    return value


NUMBER = Number()
POSITIVE = Positive()
