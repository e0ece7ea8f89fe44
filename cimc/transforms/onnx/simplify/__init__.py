"""Small rewrites of the ``onnx`` dialect that keep every result bit for bit; one rule per class.

None of them believes a declared intermediate shape: exporters leave stale ones behind, and onnxruntime
only warns about them.  Element types and the extents of graph inputs are enforced, so these count.
"""

from cimc.transforms.onnx.simplify.branches import InlineConstantIf
from cimc.transforms.onnx.simplify.casts import CastLikeToCast, RemoveCast
from cimc.transforms.onnx.simplify.identities import RemoveDropout, RemoveIdentity, RemoveSingleConcat
from cimc.transforms.onnx.simplify.known_shapes import FoldShape, ScalarRange
from cimc.transforms.onnx.simplify.rule import Rule
from cimc.transforms.onnx.simplify.views import (
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
