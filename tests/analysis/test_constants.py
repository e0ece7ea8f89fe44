"""Reading what is constant in a graph."""

import warnings

import numpy as np

from cimc.analysis.constants import ConstantReader
from cimc.ir.onnx.dialect import NodeOp
from tests.transforms.recognise.fusing import imported, model


def test_a_quantised_mask_of_infinity_is_read_without_a_warning() -> None:
    text = "m (float[B, 3] x) => (float[B, 3] y) { m = DequantizeLinear(q, s, z)\n y = Add(x, m) }"
    weights = {
        "q": np.array([0, -1, 1], np.int8),
        "s": np.array(np.inf, np.float32),
        "z": np.array(0, np.int8),
    }
    module, ctx = imported(model(text, weights))
    (node,) = (op for op in module.walk() if isinstance(op, NodeOp) and op.kind == "DequantizeLinear")
    with warnings.catch_warnings(action="error"):
        made = ConstantReader(ctx.store).read(node.outputs[0])
    np.testing.assert_array_equal(made, np.array([np.nan, -np.inf, np.inf], np.float32))
