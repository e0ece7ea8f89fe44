"""Numbers with units for people: engineering notation, three or four significant digits."""

from __future__ import annotations

import math

_PREFIXES = {
    -15: "f",
    -12: "p",
    -9: "n",
    -6: "u",
    -3: "m",
    0: "",
    3: "k",
    6: "M",
    9: "G",
    12: "T",
    15: "P",
}


def engineering(value: float, unit: str, digits: int = 3) -> str:
    """``1.23e-9`` J as ``1.23 nJ``; an exponent of 10 beyond the prefixes stays in the number."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}".rstrip()
    power = 3 * math.floor(math.log10(abs(value)) / 3)
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    shown = f"{value / 10.0**power:#.{digits}g}".rstrip(".")
    if abs(float(shown)) >= 1000 and power < max(_PREFIXES):  # 999.9996 rounds up into the next prefix
        power += 3
        shown = f"{value / 10.0**power:#.{digits}g}".rstrip(".")
    if "e" in shown:
        shown = f"{value / 10.0**power:.{digits}g}"
    return f"{shown} {_PREFIXES[power]}{unit}".rstrip()


def joules(picojoules: float) -> str:
    """An energy given in pJ."""
    return engineering(picojoules * 1e-12, "J")


def watts(value: float) -> str:
    """A power."""
    return engineering(value, "W")


def seconds(nanoseconds: float) -> str:
    """A time given in ns."""
    return engineering(nanoseconds * 1e-9, "s")


def rate(per_second: float | None) -> str:
    """Requests per second: ``12.3 k requests/s``."""
    if per_second is None:
        return "unlimited (the chip does nothing)"
    number, _, prefix = engineering(per_second, "").partition(" ")
    return f"{number} {prefix} requests/s".replace("  ", " ")


def size(count: int) -> str:
    """A number of bytes with binary prefixes: ``7.48 MiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{count} B" if unit == "B" else f"{value:.2f} {unit}"
        value /= 1024
    raise AssertionError


def percent(share: float) -> str:
    """A share of 0..1: ``12.3 %``."""
    return f"{100 * share:.1f} %"


def share(value: float | None) -> str:
    """As :func:`percent`, but less than all is never rounded up to all; ``None`` is not known."""
    if value is None:
        return "not known"
    return percent(value if value == 1 else min(value, 0.9994))


def count(value: float) -> str:
    """A count with thousands apart; a mean that is no whole number with two decimals."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def ranges(numbers: list[int]) -> str:
    """Sorted integers, runs shortened: ``0-3, 7, 9-12``."""
    parts: list[tuple[int, int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1] = (parts[-1][0], number)
        else:
            parts.append((number, number))
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
