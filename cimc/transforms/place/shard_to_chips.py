"""Tables in pieces to chips by a policy of :mod:`cimc.mapping.sharding`: the problem of a compilation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimc.isa.link_widths import HEADER_BITS
from cimc.mapping.sharding.plan_shards import ShardingPlan, plan_shards
from cimc.mapping.sharding.sharding_problem import ShardingProblem
from cimc.target.spec import Target
from cimc.transforms.place.interchip_traffic import Demand, expected_answers
from cimc.transforms.place.shard_list import Places

Ints = NDArray[np.int64]
_NO_LINK = 1e12
"""Gb/s of a link that costs no time."""


def shard_to_chips(
    policy: str, places: Places, items: Ints, room: Ints, demand: Demand, target: Target, seed: int
) -> ShardingPlan:
    """The chip of each of the places ``items``, none of them a copy.

    Args:
        policy: a name of :data:`cimc.mapping.sharding.plan_shards.SHARDINGS`.
        places, items: the blocks.
        room: arrays free on each chip.
        demand: of requests.
        target: the machine.
        seed: of the policy.

    Raises:
        InfeasibleError: no plan was found.
    """
    table, count = places.matrix[items], len(places.names)
    widest = np.ones(count, np.int64)
    np.maximum.at(widest, table, places.width[items])
    answers = expected_answers(places, items, demand)
    steps = -(-places.width[items] // target.array.columns_per_step)
    link = np.full(len(room), float(target.chip.host_link_gbps))
    link[0] = _NO_LINK
    problem = ShardingProblem(
        table=table,
        column=places.column[items],
        busy_ns=places.uses[items] * steps * float(target.array.step_ns),
        asked_bits=places.uses[items] * demand.id_bits[table] + answers.seen * HEADER_BITS,
        seen=answers.seen,
        answer_bits=answers.bits,
        result_bits=demand.result_bits,
        per_unit=target.array.cols // widest,
        capacity=room,
        link_bits_per_ns=link,
        tiles=target.tiles_per_chip,
        labels=places.names,
    )
    return plan_shards(problem, policy, seed=seed)
