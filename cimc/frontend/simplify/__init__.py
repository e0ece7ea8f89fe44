"""Small rewrites of the ``onnx`` dialect that keep every result bit for bit; one rule per class.

None of them believes a declared intermediate shape: exporters leave stale ones behind, and onnxruntime
only warns about them.  Element types and the extents of graph inputs are enforced, so these count.
"""

from cimc.frontend.simplify.branches import InlineConstantIf
from cimc.frontend.simplify.casts import CastLikeToCast, RemoveCast
from cimc.frontend.simplify.identities import RemoveDropout, RemoveIdentity, RemoveSingleConcat
from cimc.frontend.simplify.rule import Rule
from cimc.frontend.simplify.shapes import FoldShape, ScalarRange
from cimc.frontend.simplify.views import (
    MergeReshapes,
    MergeTransposes,
    RemoveTranspose,
    SqueezeOfUnsqueeze,
)

RULES: tuple[type[Rule], ...] = (
    RemoveIdentity,
    RemoveDropout,
    RemoveSingleConcat,
    CastLikeToCast,
    RemoveCast,
    FoldShape,
    ScalarRange,
    MergeReshapes,
    MergeTransposes,
    RemoveTranspose,
    SqueezeOfUnsqueeze,
    InlineConstantIf,
)
"""All rules, in the order in which they are tried on a node."""

__all__ = ["RULES", "Rule"]
