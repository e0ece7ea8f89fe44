"""What a policy of layer copies says of the layers of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cimc.mapping.allocation.allocation_problem import AllocationProblem
from cimc.mapping.allocation.layer_copies import LayerCopiesProblem, copy_layers
from cimc.target.spec import Target
from cimc.transforms.partition.converter_parallelism import Layer

_INPUT_BITS = 8


def copies_of_policy(
    layers: Sequence[Layer],
    problem: AllocationProblem,
    target: Target,
    policy: str,
    seed: int,
    **options: int | float | str,
) -> dict[str, int]:
    """Copies of each layer by name, as wide as arrays, in the arrays that tables leave.

    An array group wider than a tile counts as several.  All layers of an instance are copied together, as
    every request passes all of them: the fewest copies of a layer are the instances.

    Raises:
        PassError: ``mapping.bad-option``.
    """
    groups, widths, uses, ns = [], [], [], [0.0]
    for layer in layers:
        full = target.array.cols // layer.slices
        across = -(-layer.cols // full)
        parts = -(-across // target.tile.arrays)
        groups.append(-(-layer.rows // target.array.rows) * parts)
        widths.append(-(-across // parts))
        uses.append(max(layer.uses, 1))
        ns.append(layer.steps(full, target) * float(target.array.step_ns) / uses[-1])
    found = copy_layers(
        LayerCopiesProblem(
            groups=np.array(groups, np.int64),
            group_arrays=np.array(widths, np.int64),
            uses=np.array(uses, np.int64),
            arrays=max(problem.arrays - problem.table_arrays, int(np.dot(groups, widths))),
            core_arrays=target.tile.arrays,
            mvm_ns=max(ns),
            issue_ns=target.array.rows * _INPUT_BITS / float(target.tile.bus_gbps),
        ),
        policy,
        seed=seed,
        **options,
    )
    return dict(zip((layer.name for layer in layers), found.copies.tolist(), strict=True))
