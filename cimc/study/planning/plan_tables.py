"""A plan for people."""

from __future__ import annotations

from cimc.report.blocks import Block, facts, table
from cimc.study.planning.machine_plan import Plan
from cimc.support.quantities import count, engineering, joules, percent, rate, seconds, watts


def plan_blocks(plan: Plan) -> list[Block]:
    """What the machine is, what it does, what it takes, and what becomes of the tables."""
    machine: list[tuple[str, object]] = [
        ("model", f"{plan.model}, {engineering(plan.parameters, '')} parameters"),
        ("planned", _HOW[plan.detail]),
        ("chips", f"{count(plan.chips)} of {plan.target}, {count(plan.homes)} of them with a dense part"),
        ("dense part", f"{count(plan.instances)} instances of {count(plan.dense_arrays)} arrays at least"),
        ("arrays", f"{percent(plan.arrays_used / plan.arrays)} of {count(plan.arrays)} used"),
    ]
    speed: list[tuple[str, object]] = [
        ("throughput", f"{rate(plan.throughput_rps)} at most, by this mapping"),
        ("limit", plan.limit),
        ("bound", f"{rate(plan.bound_rps)}: no mapping of this kind does more (gap {percent(plan.gap)})"),
        ("latency", f"{seconds(plan.latency_ns)} alone on the machine"),
    ]
    power: list[tuple[str, object]] = [
        ("load", rate(plan.rate_rps)),
        ("static", watts(plan.static_watts)),
        ("dynamic", f"{watts(plan.dynamic_watts)}, {joules(plan.energy_pj)} a request"),
        ("a request", f"{joules(plan.energy_at_rate_pj)} with its share of static power"),
    ]
    crossing: list[tuple[str, object]] = [
        ("host", f"{engineering(plan.host_bits, 'bit')} a request between host and chips"),
        ("chips", f"{engineering(plan.crossing_bits, 'bit')} a request between chips: ids and answers"),
        ("a link", f"{percent(plan.link_use)} busy at this load"),
    ]
    blocks: list[Block] = [
        facts("Machine", machine),
        facts("Requests", speed),
        facts("Power", power),
        facts("Crossing", crossing),
        table(
            "Busiest unit of each kind",
            ("kind", ">ns a request of the machine"),
            [(kind, f"{ns:.4g}") for kind, ns in sorted(plan.busy_ns.items(), key=lambda e: -e[1])],
        ),
        table(
            "Energy of a request",
            ("component", ">energy"),
            [(name, joules(pj)) for name, pj in sorted(plan.energy.items(), key=lambda e: -e[1])],
        ),
    ]
    if plan.classes:
        blocks.append(
            table(
                "Tables",
                (
                    "class", ">tables", ">rows", ">dim", ">rows near", ">places of them", ">of the reads",
                    ">arrays", ">bits crossing",
                ),
                [
                    (
                        each.name,
                        count(each.tables),
                        count(each.rows),
                        each.dim,
                        count(each.near_rows),
                        count(each.places),
                        percent(each.near_reads),
                        count(round(each.arrays)),
                        engineering(each.crossing_bits, ""),
                    )
                    for each in plan.classes
                ],
            )
        )  # fmt: skip
    return blocks


_HOW = {
    "blocks": "block by block, by the compiler",
    "classes": "over classes of tables; one chip was compiled, the others are like it",
}
