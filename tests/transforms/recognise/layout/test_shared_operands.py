"""What every request has in common, with onnxruntime's numbers where it meets a batch."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.anchored import behind_layer, on_chip
from tests.transforms.recognise.fusing import Arrays, floats

WEIGHTS: Arrays = {
    "row": floats(4), "one": floats(1, 4), "half": np.float32(0.5), "four": np.array([4]),
    "table": floats(9, 4), "s0": np.array(0), "ids": np.array([[2, -1]]), "two": np.array([2]),
    "s3": np.array(3), "rows": floats(3, 4),
}  # fmt: skip
LIKE = "s = Shape<end = 1>(x)\n t = Concat<axis = 0>(s, four)\n"


@pytest.mark.parametrize(
    "body",
    [
        "r = Relu(h)\n y = Add(r, row)",
        "r = Relu(h)\n y = Add(r, one)",
        "r = Relu(h)\n y = Mul(half, r)",
        LIKE + "c = ConstantOfShape<value = float[1] {2.5}>(t)\n y = Add(h, c)",
        LIKE + "c = Expand(row, t)\n y = Add(h, c)",
        LIKE + "c = Expand(one, t)\n d = Expand(c, t)\n y = Mul(h, d)",
    ],
)
def test_operands_of_all_requests(body: str) -> None:
    found = on_chip(behind_layer(body, (4,), WEIGHTS))
    assert found.counts()["constant"] == 1


def test_learned_positions_are_a_constant() -> None:
    body = (
        "s = Shape<end = 1>(x)\n t = Concat<axis = 0>(s, two)\n i = Expand(ids, t)\n"
        "p = Gather(table, i)\n y = Add(h, p)"
    )
    found = on_chip(behind_layer(body, (2, 4), WEIGHTS))
    (constant,) = found.ops("rec.constant")
    array = found.ctx.store[constant.symbol.string_value()]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(array, WEIGHTS["table"][[2, -1]][np.newaxis])


def test_rows_of_a_constant_along_the_batch_are_not_shared() -> None:
    """Three rows are added to three requests: not one for all."""
    found = behind_layer("y = Add(h, rows)", (4,), WEIGHTS)
    found.check({"x": floats(3, 4)})
    assert found.reasons()


def test_the_same_number_is_stored_once() -> None:
    body = "r = Relu(h)\n a = Add(r, half)\n b = Mul(a, half)\n y = Sub(half, b)"
    found = on_chip(behind_layer(body, (4,), WEIGHTS))
    constants = found.ops("rec.constant")
    assert len({op.symbol for op in constants}) == 1  # type: ignore[attr-defined]
