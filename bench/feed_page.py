"""The worked plan of ``docs/plan.md``: a feed at 10 M requests/s on 10^12 parameters, and what it hangs on.

    python -m bench.feed_page [--write docs/plan.md] [--small]

``--small``: a feed of a thousandth, which a test compares with the page.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.feed import feed
from cimc.study.planning.description import Description
from cimc.study.planning.machine_plan import Plan, make_plan
from cimc.study.planning.two_roles import Homes
from cimc.support.quantities import engineering, joules, percent, rate, watts
from cimc.target.load_target import load_target

TARGET = "tsinghua28{tile.scratchpad_bytes=1048576}"
RATE = 10e6
_PLACE = {
    small: re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    for small, name in ((False, "feed"), (True, "small-feed"))
}


@dataclass(frozen=True)
class Case:
    """A row of the table: what is changed, the plan."""

    what: str
    plan: Plan


def _model(small: bool, shift: float = 0.0) -> Description:
    return feed(1e9, 40, 64, shift) if small else feed(shift=shift)


def cases(small: bool = False) -> Iterator[Case]:
    """The plan for the rate, then one change at a time on as many chips."""
    homes, model = Homes(), _model(small)
    base = make_plan(model, load_target(TARGET), rate=RATE, detail="classes", homes=homes)
    yield Case("as above", base)

    def on(target: str, shift: float = 0.0) -> Plan:
        chips = base.chips
        return make_plan(
            _model(small, shift), load_target(target), chips=chips, detail="classes", homes=homes
        )

    def more(fields: str) -> str:
        return f"{TARGET[:-1]} {fields}}}"

    yield Case("links between chips of 205 Gb/s instead of 504", on(more("link=hypertransport2002")))
    yield Case("of 51 Gb/s", on(more("chip.host_link_gbps=51.0")))
    yield Case("mesh links of 76.8 Gb/s instead of 38.4", on(more("tile.link_gbps=76.8")))
    yield Case("exponents of all tables 0.1 less", on(TARGET, -0.1))
    yield Case("exponents 0.1 more", on(TARGET, 0.1))
    yield Case("four ports a chip instead of one", on(more("chip.ports=4")))
    yield Case(
        "the chips for twice the rate",
        make_plan(model, load_target(TARGET), rate=2 * RATE, detail="classes", homes=homes),
    )


def summary(plan: Plan) -> str:
    """The plan in a list."""
    near = sum(each.near_rows * each.tables for each in plan.classes)
    return "\n".join(
        [
            f"* **Chips**: {plan.chips:,} of `{plan.target}`, {plan.homes:,} of them homes; "
            f"{percent(plan.arrays_used / plan.arrays)} of the arrays hold weights.",
            f"* **Copies**: the dense part ({plan.dense_arrays} arrays) in {plan.instances:,} instances; "
            f"of the rows, {near:,} are on every home.",
            f"* **Requests**: {rate(plan.throughput_rps)} at most. Limit: {plan.limit}. Bound at the cuts: "
            f"{rate(plan.bound_rps)}. One alone takes {plan.latency_ns / 1e6:.2f} ms.",
            f"* **Watts** at {rate(plan.rate_rps)}: {watts(plan.static_watts)} static, "
            f"{watts(plan.dynamic_watts)} dynamic; {joules(plan.energy_pj)} a request, "
            f"{joules(plan.energy_at_rate_pj)} with static power.",
            f"* **Crossing**: {engineering(plan.crossing_bits, 'bit')} a request between chips, "
            f"{engineering(plan.host_bits, 'bit')} to and from the host; the busiest link of a home is busy "
            f"{percent(plan.link_use)} of the time.",
        ]
    )


def row(case: Case, base: Plan) -> str:
    """A line of the table."""
    plan = case.plan
    return (
        f"| {case.what} | {plan.chips:,} | {plan.homes:,} | {plan.throughput_rps / 1e6:.2f} | "
        f"{plan.bound_rps / 1e6:.2f} | {plan.limit.partition(',')[0]} | {plan.crossing_bits / 1e6:.2f} | "
        f"{plan.energy_pj / 1e6:.1f} | {(plan.static_watts + plan.dynamic_watts) / 1e3:.0f} |"
    )


def page(found: Sequence[Case]) -> str:
    """The generated part of the page."""
    base = found[0].plan
    head = (
        "| what | chips | homes | M requests/s | bound | limit | Mbit crossing | uJ dynamic | kW |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([summary(base), "", head, *(row(case, base) for case in found), ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the part of the page, or write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--write", type=Path, help="Markdown file with a pair of comments")
    given = parser.parse_args(arguments)
    found = []
    for case in cases(given.small):
        found.append(case)
        print(json.dumps({"what": case.what, **case.plan.to_json()}), file=sys.stderr, flush=True)
    if given.write is None:
        print(page(found), end="")
        return 0
    old = given.write.read_text(encoding="utf-8")
    new, count = _PLACE[given.small].subn(lambda m: m.group(1) + page(found) + m.group(2), old)
    if count != 1:
        parser.error(f"{given.write} has {count} pairs of comments, needs one")
    given.write.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
