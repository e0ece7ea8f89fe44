"""Messages carry the low bits of each byte, and no others."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cimc.sim.messages import packed, unpacked


@given(st.integers(1, 8), st.booleans(), st.integers(0, 9), st.integers(0, 20), st.integers(0, 99))
def test_values_of_their_width_arrive(bits: int, signed: bool, requests: int, n: int, seed: int) -> None:
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    sent = (
        np.random.default_rng(seed).integers(low, high, (requests, n)).astype(np.int8 if signed else np.uint8)
    )
    message = packed(sent.view(np.uint8), bits)
    assert message.shape == (requests, -(-n * bits // 8))
    np.testing.assert_array_equal(unpacked(message, n, bits, signed).view(sent.dtype), sent)


def test_what_is_wider_is_lost() -> None:
    message = packed(np.array([[0x5A]], np.uint8), 4)
    assert unpacked(message, 1, 4, False).tolist() == [[0x0A]]
    assert unpacked(message, 1, 4, True).view(np.int8).tolist() == [[-6]]
