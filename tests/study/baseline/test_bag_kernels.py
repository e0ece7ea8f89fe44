"""The kernel of the fused reference against sums written out."""

from __future__ import annotations

import numpy as np

from cimc.study.baseline import bag_kernels as k

ROWS = np.arange(20, dtype=np.float32).reshape(10, 2)


def pooled(line: list[int], counts: int, numbers: list[int], sizes: list[int]) -> tuple[int, np.ndarray]:
    out = np.full((counts, 2), 99, np.float32)
    args = (np.array(numbers), np.array(sizes), np.empty(0, np.float32), out)
    return k.pooled(ROWS, np.array([line]), np.array([counts]), *args), out


def test_sums_means_and_empty_bags_of_a_table_behind_another() -> None:
    numbers = [0, 1, 2, 0, 2, 2]  # three ids; then three offsets, the middle bag empty
    for mode, first in ((k.SUM, ROWS[4] + ROWS[5]), (k.MEAN, (ROWS[4] + ROWS[5]) / 2), (k.MAX, ROWS[5])):
        bad, out = pooled([4, 6, mode, k.OFFSETS, 1, 0, 0, 0], 3, numbers, [3, 3])
        assert bad == -1
        np.testing.assert_array_equal(out, [first, [0, 0], ROWS[6]])


def test_what_does_not_fit_is_told() -> None:
    assert pooled([0, 2, k.SUM, k.FIXED, 0, 0, 0, 0], 1, [2], [1])[0] == 0
    assert pooled([0, 2, k.SUM, k.FIXED, 0, 1, 2, 0], 1, [2], [1])[0] == -1  # padding is no row
    for offsets in ([1, 0], [0, 9], [-1, 0]):
        assert pooled([0, 9, k.SUM, k.OFFSETS, 1, 0, 0, 0], 2, [1, 1, *offsets], [2, 2])[0] == 0
