"""Answers that several first screens share: a line each, labelled by the question it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cimc.cost import Cost
from cimc.cost.on_chip import OnChip, Split
from cimc.report.blocks import Facts, facts
from cimc.report.summary import machine_lines
from cimc.support.quantities import count, joules, percent, rate, seconds, share, watts

Line = tuple[str, object]
Next = tuple[str, str]
"""What to try next: a command or option, and what it answers."""

LONGEST = 25
"""Lines of a first screen, its title included: what a terminal shows without scrolling."""

_NOTES = 3


def screen(title: str, lines: Sequence[Line], notes: Sequence[str], nexts: Sequence[Next]) -> Facts:
    """A first screen: answers, then what was assumed, then what to try.

    Where it gets too long, what to try gives way, and notes are counted: one line of them always stays.

    Args:
        title: what the answers are about.
        lines: the answers.
        notes: assumptions and fallbacks; the first few are shown, the others counted.
        nexts: what to try, the most useful first.
    """
    room = LONGEST - 1 - len(lines)
    least = min(len(notes), 1)
    tried = [f"{command}: {text}" for command, text in nexts][: max(0, room - least)]
    kept = _first(notes, min(_NOTES, max(least, room - len(tried))))
    return facts(title, [*lines, *_labelled("assumed", kept), *_labelled("to try", tried)])


def _labelled(label: str, texts: Iterable[str]) -> list[Line]:
    return [(label if number == 0 else "", text) for number, text in enumerate(texts)]


def _first(texts: Sequence[str], most: int) -> list[str]:
    if len(texts) <= most:
        return list(texts)
    return [
        *texts[: most - 1],
        f"{texts[most - 1]} (and {plural(len(texts) - most, 'more note')}: --details)",
    ]


def fits(counts: Mapping[str, float]) -> Line:
    """What of the machine a program takes; ``counts``: of :class:`cimc.cost.area.Area`."""
    text = (
        f"{count(counts['chips_used'])} of {plural(counts['chips'], 'chip')}, "
        f"{count(counts['arrays_used'])} of {plural(counts['arrays'], 'array')}, "
        f"{percent(counts['cells_used'])} of their cells"
    )
    return ("fits", text)


def done_on_chip(found: OnChip) -> list[Line]:
    """Shares of the model's work, and why they are not all."""
    parts = [
        f"{what} not known" if split.share is None else f"{share(split.share)} of {what}"
        for what, split in (("MACs", found.macs), ("looked-up values", found.lookups))
        if not _none(split)
    ]
    lines: list[Line] = [("on chip", ", ".join(parts) or "the model multiplies nothing and looks nothing up")]
    if found.warning:
        lines += [("", found.warning), ("", "time, energy and power are of the part on chip")]
    if found.not_counted:
        lines.append(("", f"not counted: {found.not_counted[0]}"))
    return lines


def _none(split: Split) -> bool:
    """Whether there is no such work at all."""
    return split.arrays == 0 and split.vector == 0 and split.host == 0


def served(cost: Cost) -> list[Line]:
    """The bound on throughput with what sets it, its share of the machine's, and the latency alone."""
    limit = cost.bottleneck or "-"
    lines: list[Line] = [("throughput", f"at most {rate(cost.throughput_rps)}; limit: {limit}")]
    lines += [("", text) for _, text in machine_lines(cost, cost.throughput_rps)]
    lines.append(("latency", f"{seconds(cost.latency_ns)} for one request alone"))
    return lines


def spent(cost: Cost, at: float | None, what: str) -> list[Line]:
    """Energy of a request and power, by scope, at ``at`` requests a second, which is ``what``."""
    scopes = [("arrays and ADCs", cost.array_energy_pj), ("all that is dynamic", cost.energy_pj)]
    whole = cost.energy_at_pj(at)
    if whole is not None:
        scopes.append(("with static power", whole))
    lines: list[Line] = [("energy", ", ".join(f"{joules(pj)} {name}" for name, pj in scopes) + ", a request")]
    power = f"{watts(cost.static.watts)} idle"
    if at is not None:
        each = ", ".join(watts(pj * 1e-12 * at) for _, pj in scopes)
        power = f"{each} {what}; {power}"
    lines.append(("power", power))
    missing = cost.static.missing
    if missing:
        lines.append(("", f"the target has no static power of {', '.join(missing)}"))
    return lines


def constants(cost: Cost) -> list[str]:
    """On what kind of constants time and energy rest."""
    parts = [f"{percent(part)} {basis}" for basis, part in cost.energy.by_basis.items() if part > 0]
    texts = []
    if parts:
        texts.append(f"constants of the energy: {', '.join(parts)}; of the time: {cost.basis['time'] or '-'}")
    if cost.host_segments:
        segments = plural(cost.host_segments, "host segment")
        texts.append(f"{segments} in no figure of time, energy and power")
    return texts


def plural(number: float, noun: str) -> str:
    return f"{count(number)} {noun}{'s' * (number != 1)}"
