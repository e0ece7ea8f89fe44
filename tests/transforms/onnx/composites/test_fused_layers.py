"""Packed weights, unpacked."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cimc.transforms.onnx.composites.fused_layers import unpacked


@given(
    st.sampled_from([2, 4, 8]), st.lists(st.lists(st.integers(0, 255), min_size=3, max_size=3), min_size=1)
)
def test_numbers_stand_in_bytes_with_the_lowest_bits_first(bits: int, rows: list[list[int]]) -> None:
    found = unpacked(np.array(rows, np.uint8), bits)
    for row, numbers in zip(rows, found.tolist(), strict=True):
        whole = int.from_bytes(bytes(row), "little")
        assert numbers == [whole >> (bits * n) & ((1 << bits) - 1) for n in range(24 // bits)]
