"""Values of onnxruntime as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimc.host.values import described, flat

ONE, TWO = np.array([[1, 2]]), np.array([3.5])


@pytest.mark.parametrize(
    ("value", "structure", "elements"),
    [
        (ONE, "", [[1, 2]]),
        ([ONE, TWO], "[[1, 2],[1]]", [1, 2, 3.5]),
        ({"a": ONE, "b": None}, "{'a':[1, 2],'b':none}", [1, 2]),
        ([{1: "x"}, {2: "y"}], "[{1:[]},{2:[]}]", ["x", "y"]),
        (["x", ONE], "[[],[1, 2]]", ["x", 1, 2]),
        (None, "none", []),
        ([], "[]", []),
    ],
)
def test_structure_and_elements(value: Any, structure: str, elements: list[Any]) -> None:
    found, array = flat(value)
    assert (found, array.tolist()) == (structure, elements)


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (ONE.astype(np.int32), "int32", [1, 2]),
        (np.array(["a"], object), "text", [1]),
        (np.array(["a"]), "text", [1]),
        ([ONE, TWO], "sequence", [2]),
        ({1: 2.0}, "map", [1]),
        (None, "optional", []),
    ],
)
def test_described(value: Any, dtype: str, shape: list[int]) -> None:
    assert described(value) == {"dtype": dtype, "shape": shape}
