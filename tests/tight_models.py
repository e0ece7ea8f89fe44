"""Models that do not fit the scratchpads of a target at the first attempt.

``CASES``: model, target, the passes that are adjusted, and the options that fit in the end.
"""

from __future__ import annotations

from cimc.target.load_target import load_target
from cimc.target.overrides import with_overrides
from cimc.target.spec import Target
from tests.zoo.models_zoo import ZOO, Model


def side_by_side() -> Model:
    """Many values that are all there until the end."""
    m = Model()
    h = m.layer(m.floats("x", 16), 16, 24)
    m.outputs.append(m.op("Concat", *[m.op("Tanh", m.layer(h, 24, 24)) for _ in range(40)], axis=1))
    return m


def small(target: str, scratchpad: int) -> Target:
    return with_overrides(load_target(target), {"tile.scratchpad_bytes": scratchpad})


CASES = {
    "less for values": (
        side_by_side,
        small("neurram130", 256),
        {"schedule", "demote"},
        "scratchpad=0.5",
    ),
    "fuller tiles": (ZOO["SASRec"], small("tsinghua28", 320), {"schedule"}, "fill=0.85 free=0.0"),
    "users in order": (ZOO["DIN, softmax"], small("tsinghua28", 208), {"schedule"}, "fill=0.8 free=0.5"),
    "both": (ZOO["SASRec"], small("tsinghua28", 256), {"schedule", "demote"}, "fill=0.9 free=0.5"),
}
