"""All mutations, one kind of damage per module."""

from tests.fuzz.mutations import (  # noqa: F401
    attributes,
    control,
    external,
    names,
    nodes,
    signature,
    tensors,
    wire,
)
from tests.fuzz.subject import MUTATIONS

__all__ = ["MUTATIONS"]
