"""Bundles: one name for a policy on each of the questions that a mapping answers."""

from __future__ import annotations

from dataclasses import dataclass

from cimc.errors import PassError, printable
from cimc.support.registry import Registry


@dataclass(frozen=True)
class Bundle:
    """What a named mapping decides; each field names a policy of its own part.

    Attributes:
        name: the bundle's name.
        grouping: rows to arrays, a name of :func:`cimc.mapping.grouping.groupings`.
        replication: copies, a name of :func:`cimc.mapping.replication.replications`.
        residency: where tables live: ``rram`` (all in crossbars) or ``auto`` (hot rows in SRAM, what does
            not fit or is rewritten too often in DRAM).
        placement: shards to tiles, a name of :func:`cimc.mapping.strategies`.
        source: where the idea is from.
        known: what of the source this is written from: its ``code``, the whole ``paper``, or no more than the
            ``abstract``, so that most of it is ours; "" for policies of this project.
    """

    name: str
    grouping: str
    replication: str
    residency: str
    placement: str
    source: str = ""
    known: str = ""


BUNDLES: Registry[Bundle] = Registry(
    "mapping",
    {
        b.name: b
        for b in (
            Bundle(
                "pimcomp_sequential",
                "in_order",
                "none",
                "rram",
                "pimcomp_sequential",
                "Sun et al., 2023",
                "code",
            ),
            Bundle(
                "frequency_deal",
                "frequency",
                "proportional",
                "rram",
                "frequency_deal",
                "REREC: Wang et al., ICCAD 2021",
                "abstract",
            ),
            Bundle(
                "log_copies",
                "co_occurrence",
                "log_frequency",
                "rram",
                "hottest_to_idlest",
                "ReCross: Lai et al., 2025",
                "abstract",
            ),
            Bundle(
                "lpt_by_cost",
                "in_order",
                "none",
                "rram",
                "lpt_by_cost",
                "TorchRec: Ivchenko et al., 2022",
                "code",
            ),
            Bundle("best", "co_occurrence", "bottleneck", "auto", "ortools"),
        )
    },
    duplicate="mapping.duplicate-strategy",
    reserved={"default": "the default pipeline, where a study names strategies"},
    former={"recross": "log_copies", "rerec": "frequency_deal", "torchrec_greedy": "lpt_by_cost"},
)
"""Mappings by name."""

bundles = BUNDLES.names


def register_bundle(bundle: Bundle) -> Bundle:
    """Make ``bundle`` available by its name.

    Raises:
        PassError: ``mapping.duplicate-strategy``, when a different bundle has that name.
    """
    BUNDLES.register(bundle.name, bundle)
    return bundle


def bundle(name: str) -> Bundle:
    """The bundle called ``name``; the name of a placement strategy alone stands for it with no extras.

    Raises:
        PassError: ``mapping.unknown-strategy``; ``mapping.duplicate-strategy``, when a bundle has the name of
            a placement strategy that it does not use.
    """
    from cimc.mapping.assignment.strategy_registry import STRATEGIES

    name = BUNDLES.current(name)
    if name not in BUNDLES and name in STRATEGIES:
        return Bundle(name, "in_order", "none", "rram", name)
    if name not in BUNDLES:
        raise BUNDLES.no_such(name, also=STRATEGIES)
    found = BUNDLES[name]
    if name in STRATEGIES and found.placement != name:
        shown = printable(name)
        raise PassError(
            "mapping.duplicate-strategy",
            f"`{shown}` is a mapping (of {BUNDLES.origin(name)}), which places with `{found.placement}`, "
            f"and a placement strategy (of {STRATEGIES.origin(name)})",
            hint=f"register one of them under another name, or choose by pipeline: place{{strategy={shown}}}",
        )
    return found
