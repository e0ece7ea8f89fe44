"""What a memory device is: its conductances, and how they err, age and fluctuate.

A :class:`Device` is a frozen description read from YAML, like a target.  Every physical figure is a
:class:`Figure` with unit, source and basis.  ``docs/devices.md`` explains every field and formula.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from cimc.support.shown import Shown
from cimc.target.spec import Basis, Spec, Text

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Figure(Spec):
    """A physical figure, of either sign, and where it comes from; ``float(f)`` is its value in ``unit``."""

    value: Number
    unit: Text
    source: Text
    basis: Basis
    note: str | None = None

    def __float__(self) -> float:
        return self.value


class Choice(Spec):
    """A modelling choice that is no number, and why it was made."""

    value: Text
    source: Text
    basis: Basis
    note: str | None = None


def _within(
    unit: str, low: float | None = 0.0, high: float | None = None, *, above: bool = False
) -> AfterValidator:
    """A figure in ``unit`` and within ``low..high`` (``above``: not ``low`` itself)."""

    def check(figure: Figure) -> Figure:
        if figure.unit != unit:
            raise ValueError(f"must be given in {unit}, not in {figure.unit}")
        if low is not None and (figure.value < low or (above and figure.value == low)):
            raise ValueError(f"must be {'greater than' if above else 'at least'} {low:g}")
        if high is not None and figure.value > high:
            raise ValueError(f"must be at most {high:g}")
        return figure

    return AfterValidator(check)


Conductance = Annotated[Figure, _within("uS")]
PositiveConductance = Annotated[Figure, _within("uS", above=True)]
SignedConductance = Annotated[Figure, _within("uS", None)]
Slope = Annotated[Figure, _within("uS/uS")]
Seconds = Annotated[Figure, _within("s", above=True)]
Ratio = Annotated[Figure, _within("1")]
Share = Annotated[Figure, _within("1", 0.0, 1.0)]
Majority = Annotated[Figure, _within("1", 0.5, 1.0)]
Resistance = Annotated[Figure, _within("ohm")]


def _one_of(*allowed: str) -> Callable[[Choice], Choice]:
    def check(choice: Choice) -> Choice:
        if choice.value not in allowed:
            raise ValueError(f"value must be one of {', '.join(allowed)}")
        return choice

    return check


class Window(Spec):
    """The conductances that are programmed: cell level 0 is ``low``, the highest level ``high``."""

    low: Conductance = Field(description="conductance of cell level 0")
    high: PositiveConductance = Field(description="conductance of the highest cell level")
    levels: Annotated[Choice, AfterValidator(_one_of("linear"))] = Field(
        description="levels between: evenly spaced"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Window:
        if float(self.low) >= float(self.high):
            raise ValueError("low must be below high")
        return self


class Programming(Spec):
    """Error of a cell just written: a Gaussian, cut by write-verify.

    Before verification the error has the standard deviation ``sigma + sigma_per_g * g``.  With ``accept``,
    cells are rewritten until they lie within ``+/-accept`` of the target; all but ``1 - converged`` of them
    get there, the others keep an error beyond the band.  Without ``accept`` sigma is that of verified cells.
    """

    sigma: Conductance = Field(description="standard deviation of a write, at 0 uS")
    sigma_per_g: Slope = Field(description="its increase per uS of target")
    accept: PositiveConductance | None = Field(
        default=None, description="half width of the accepted band; absent: sigma is that of verified cells"
    )
    converged: Majority | None = Field(
        default=None, description="share of the cells that reach the band (all, if absent)"
    )

    @model_validator(mode="after")
    def _banded(self) -> Programming:
        if self.accept is not None and float(self.sigma) == 0.0 == float(self.sigma_per_g):
            raise ValueError("an accepted band needs a sigma above 0")
        if self.accept is not None and float(self.sigma_per_g):
            raise ValueError("accept needs the same sigma for every target: sigma_per_g must be 0")
        if self.converged is not None and self.accept is None:
            raise ValueError("converged belongs to accept, which is missing")
        return self


class Curve(Spec):
    """Spread at one age: ``sum_i coefficients[i] * (g / high)**i`` uS for a target of ``g`` uS."""

    age: Seconds
    coefficients: tuple[Number, ...] = Field(min_length=1, max_length=9)
    unit: Literal["uS"]
    source: Text
    basis: Basis
    note: str | None = None

    def __call__(self, fraction: float) -> float:
        """Standard deviation in uS at ``fraction`` of the window's high end; negative values count as 0."""
        return max(0.0, sum(c * fraction**i for i, c in enumerate(self.coefficients)))


class NoRelaxation(Spec):
    """Cells stay as written."""

    kind: Literal["none"]


class RelaxationCurves(Spec):
    """Total spread about the target at some ages, the error of programming included.

    Between two ages it is interpolated linearly in the logarithm of time; before the first and after the
    last, that curve holds (:func:`cimc.sim.devices.model.aged_levels.notes` says so).
    """

    kind: Literal["curves"]
    curves: tuple[Curve, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> RelaxationCurves:
        ages = [float(curve.age) for curve in self.curves]
        if ages != sorted(set(ages)):
            raise ValueError("ages must increase")
        return self


class RelaxationLog(Spec):
    """A shift of ``mean_per_ln * ln t`` and a spread of ``sigma + sigma_per_ln * ln t`` uS, ``t`` in seconds.

    Both come on top of the error of programming, for every target alike; ``ln t`` is 0 below one second.
    """

    kind: Literal["log-time"]
    mean_per_ln: SignedConductance
    sigma_per_ln: Conductance
    sigma: Conductance


class NoRead(Spec):
    """Reads do not fluctuate."""

    kind: Literal["none"]


class ReadConstant(Spec):
    """A read fluctuates by ``of_high`` of the window's high end, whatever the cell holds."""

    kind: Literal["constant"]
    of_high: Ratio


class ReadLog(Spec):
    """A read at age ``t`` fluctuates by ``scale * log10(g / 1 uS) * sqrt(ln((t + t0) / (2 t0)))`` uS.

    0 below 1 uS and before ``t0``, where the formula is not defined.
    """

    kind: Literal["log-g"]
    scale: Conductance
    t0: Seconds


class Stuck(Spec):
    """Shares of cells that writing does not change."""

    low: Share = Field(description="share stuck at the window's low end")
    high: Share = Field(description="share stuck at its high end")

    @model_validator(mode="after")
    def _shares(self) -> Stuck:
        if float(self.low) + float(self.high) > 1.0:
            raise ValueError("low and high together exceed 1")
        return self


class Wires(Spec):
    """Resistance of the wires between neighbouring cells."""

    word_ohm: Resistance = Field(description="word line, per cell")
    bit_ohm: Resistance = Field(description="bit line, per cell")


class Device(Shown, Spec):
    """A memory device, with the array that its figures were taken from.

    ``array`` says in words where they were measured, ``targets`` names the presets whose array has this
    device; on any other target the device is an assumption, which a note of the run says.
    """

    format_version: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.+-]{0,63}$")]
    title: Text
    description: Text
    array: Text
    targets: tuple[Text, ...] = ()
    window: Window
    programming: Programming
    relaxation: Annotated[NoRelaxation | RelaxationCurves | RelaxationLog, Field(discriminator="kind")]
    stuck: Stuck
    read: Annotated[NoRead | ReadConstant | ReadLog, Field(discriminator="kind")]
    wires: Wires

    def _brief(self) -> str:
        return f"{self.name}: {self.title}"

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the canonical JSON of the description."""
        text = json.dumps(
            self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def figures(self) -> Iterator[tuple[str, Figure | Choice | Curve]]:
        """Everything that has a source, as (dotted path, figure), in the order of the model."""
        for part in ("window", "programming", "relaxation", "stuck", "read", "wires"):
            for name in type(getattr(self, part)).model_fields:
                value = getattr(getattr(self, part), name)
                if isinstance(value, (Figure, Choice)):
                    yield f"{part}.{name}", value
                elif isinstance(value, tuple):
                    for at, curve in enumerate(value):
                        yield f"{part}.{name}[{at}]", curve
