"""A recommendation model by statistics: widths of layers, and classes of tables with rows and skew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from cimc.errors import CimcError
from cimc.study.planning.skew import Lengths, Skew, mean_length
from cimc.support.io.descriptions import Kind
from cimc.target.spec import Spec, Text

DOCS = "docs/plan.md"
MOST_TABLES = 1 << 14
_ROUNDING = 1e-3


class PlanError(CimcError):
    """A description of a model cannot be used, or a machine cannot do what is asked of it."""


KIND = Kind("plan", DOCS, PlanError, "plan.unreadable", "plan.syntax", "plan.invalid")

Width = Annotated[int, Field(strict=True, ge=1, le=1 << 20)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=64)]
Exponent = Annotated[float, Field(strict=True, ge=0.0, le=4.0, allow_inf_nan=False)]
Reads = Annotated[float, Field(strict=True, gt=0.0, le=65536.0, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0.0, le=1.0)]
Bags = tuple[Annotated[float, Field(strict=True, ge=0.0, le=65536.0)], Share]
Step = tuple[Annotated[float, Field(strict=True, gt=0.0)], Share]


class TableClass(Spec):
    """Tables that are alike.

    Attributes:
        name: of the class; its tables are ``NAME.0``, ``NAME.1``, ...
        count: tables.
        rows, dim: of each.
        pooling: ids a request, a mean; ``mode``: what becomes of their rows.
        lengths: ``fixed``, where every bag has as many; ``varying``; or pairs of ids and the share of bags
            that have as many, of mean ``pooling``.  By default bags vary where pooling is no whole number.
        skew: exponent of the Zipf law that reads follow; or ``cdf``: rows, and the share of reads that go to
            so many of the most read ones, ascending.
    """

    name: Text
    count: Annotated[int, Field(strict=True, ge=1, le=MOST_TABLES)] = 1
    rows: Annotated[int, Field(strict=True, ge=1, le=1 << 40)]
    dim: Annotated[int, Field(strict=True, ge=1, le=1 << 12)]
    pooling: Reads = 1.0
    mode: Literal["sum", "mean"] = "sum"
    lengths: Literal["fixed", "varying"] | tuple[Bags, ...] | None = None
    skew: Exponent | None = None
    cdf: tuple[Step, ...] = ()

    @model_validator(mode="after")
    def _one_law(self) -> TableClass:
        if (self.skew is None) == (not self.cdf):
            raise ValueError(f"table class {self.name} has either skew or cdf")
        before = (0.0, 0.0)
        for step in self.cdf:
            if step[0] <= before[0] or step[1] < before[1]:
                raise ValueError(f"cdf of {self.name} ascends, in rows and in shares: not {list(step)}")
            before = step
        if self.cdf and before != (float(self.rows), 1.0):
            raise ValueError(f"cdf of {self.name} ends in [{self.rows}, 1.0]: all rows, all reads")
        if self.lengths == "fixed" and self.pooling != int(self.pooling):
            raise ValueError(f"{self.name}: bags of {self.pooling:g} ids are not all alike")
        if isinstance(self.lengths, tuple):
            whole, mean = sum(part for _, part in self.lengths), mean_length(self.lengths)
            if abs(whole - 1.0) > _ROUNDING or abs(mean - self.pooling) > _ROUNDING * self.pooling:
                raise ValueError(
                    f"lengths of {self.name}: shares add up to {whole:g}, and their mean is {mean:g}, "
                    f"not {self.pooling:g}"
                )
        return self

    @property
    def varying(self) -> bool:
        """Whether bags have different lengths."""
        return self.lengths not in (None, "fixed") or self.pooling != int(self.pooling)

    @property
    def bags(self) -> Lengths:
        """Lengths of bags with their shares; where only the mean is known, the whole numbers beside it."""
        if isinstance(self.lengths, tuple):
            return self.lengths
        low = float(int(self.pooling))
        return tuple((n, w) for n, w in ((low, low + 1 - self.pooling), (low + 1, self.pooling - low)) if w)

    @property
    def law(self) -> Skew:
        """How reads are spread over the rows."""
        return Skew(self.rows, self.skew or 0.0, tuple(self.cdf))

    @property
    def parameters(self) -> int:
        """Of all tables of the class."""
        return self.count * self.rows * self.dim


class DenseLayers(Spec):
    """Dense features, and output widths of the layers before and behind the interaction."""

    features: Width
    bottom: Widths
    top: Widths


class Cross(Spec):
    """Low-rank cross layers, after DCN v2."""

    layers: Annotated[int, Field(strict=True, ge=1, le=16)] = 3
    rank: Width = 512


class Description(Spec):
    """A model.

    Attributes:
        name: of the model.
        dense: its layers.
        interaction: ``dot`` products of all pairs of vectors, ``cross`` layers, or ``concat``: the vectors
            side by side.
        cross: of ``cross``.
        tables: classes of tables.
    """

    name: Text = "model"
    dense: DenseLayers
    interaction: Literal["dot", "cross", "concat"] = "dot"
    cross: Cross = Cross()
    tables: Annotated[tuple[TableClass, ...], Field(min_length=1, max_length=4096)]

    @model_validator(mode="after")
    def _fits_together(self) -> Description:
        names = [each.name for each in self.tables]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two classes of tables are called {twice}")
        if sum(each.count for each in self.tables) > MOST_TABLES:
            raise ValueError(f"a model has at most {MOST_TABLES} tables")
        wide = self.dense.bottom[-1]
        other = next((each for each in self.tables if each.dim != wide), None)
        if self.interaction == "dot" and other is not None:
            raise ValueError(
                f"dot needs vectors of one length: {other.name} has {other.dim}, bottom ends in {wide}"
            )
        return self

    @property
    def parameters(self) -> int:
        """Elements of all tables and layers."""
        return sum(each.parameters for each in self.tables) + sum(k * n for k, n in self.layers())

    @property
    def width(self) -> int:
        """Columns that enter the first layer of ``top``."""
        vectors = [(self.dense.bottom[-1], 1), *((each.dim, each.count) for each in self.tables)]
        if self.interaction == "dot":
            count = sum(n for _, n in vectors)
            return self.dense.bottom[-1] + count * (count - 1) // 2
        return sum(dim * n for dim, n in vectors)

    def layers(self) -> Iterator[tuple[int, int]]:
        """Inputs and outputs of each layer, in order."""
        before = self.dense.features
        for width in self.dense.bottom:
            yield before, width
            before = width
        before = self.width
        if self.interaction == "cross":
            for _ in range(self.cross.layers):
                yield before, self.cross.rank
                yield self.cross.rank, before
        for width in self.dense.top:
            yield before, width
            before = width


def load_description(path: Path) -> Description:
    """The description in a YAML or JSON file.

    Raises:
        PlanError: ``plan.unreadable``, ``plan.syntax``, ``plan.invalid``.
    """
    return parse_description(KIND.read(path, ()), str(path))


def parse_description(text: str, file: str) -> Description:
    """The description in a text; ``file`` is the name that errors show.

    Raises:
        PlanError: ``plan.syntax``, ``plan.invalid``.
    """
    document = KIND.parse(text, file)
    try:
        return Description.model_validate(document.value)
    except ValidationError as error:
        raise KIND.problems(error, file, document.lines, f"{DOCS} says what a model has") from None


@dataclass(frozen=True)
class Table:
    """One table of a description: its class and its name."""

    of: TableClass
    name: str


def tables_of_description(model: Description) -> list[Table]:
    """Every table, class by class."""
    return [Table(each, f"{each.name}.{k}") for each in model.tables for k in range(each.count)]
