"""For every figure of an estimate, one sentence on what it includes and what it does not."""

from __future__ import annotations

from cimc.cost.energy import NOT_MODELLED


def includes(hosts: int) -> dict[str, str]:
    """Name of a figure -> what is in it; ``hosts`` is the number of host segments of the program."""
    some = f"{hosts} host segment{'s' * (hosts > 1)} of the program" if hosts else ""
    host = f"; {some} not included" if hosts else ""
    return {
        "latency_ns": "one request alone on the machine, from the first load to the last store, with waits "
        "for operands, units and messages; not included: contention on mesh links, scratchpad bandwidth, "
        f"instruction fetch, variation between requests (lookups take their mean){host}",
        "throughput_rps": "1 / busy time of the busiest unit: a steady stream of requests that overlap "
        "perfectly, with buffers for all of them; an upper bound that ignores dependencies and the spread "
        f"of lookups around their mean{host}",
        "busy": "per request and unit: arrays, buses, vector units, router ports, mesh links and host links",
        "energy_pj": "dynamic energy of the components listed, for one request; not included: "
        f"{', '.join(sorted(NOT_MODELLED))}{host}",
        "static_power": "what components take that the target gives a constant for, whatever they do: "
        "leakage, clock, links that are up, DRAM refresh; of the whole system, and of the parts that the "
        "program uses if all else were off; not included: the host, voltage conversion, cooling",
        "energy_at_bound_pj": "dynamic energy and one request's share of the system's static power at the "
        "bound on throughput: the least that a request can take; at a lower load its share grows",
        "array_energy_pj": "driven rows, conversions and fixed energy of array steps only: what the "
        "publication of a macro reports; not the system's energy",
        "energy": "counted events times the constant named in each line; all rows of an mvm count as driven",
        "energy_share_by_basis": "share of the energy whose constant is measured, simulated, derived or "
        "assumed; the counts themselves rest on the structural fields listed under 'structure'",
        "area_system_mm2": "all arrays, tiles and edge blocks of the target, used or not; not included: "
        "constant memory, DRAM, package",
        "area_used_mm2": "arrays that hold a block, tiles with such an array or with instructions, and "
        "their chips' edge blocks in full; not included: as for the system",
        "events": "means per request: static instructions from the program, lookups from a run's activity",
    }
