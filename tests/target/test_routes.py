"""Ways over the mesh, and the nearest port."""

from __future__ import annotations

from cimc.target.routes import nearest, x_first


def test_x_first_then_y() -> None:
    assert list(x_first((2, 0), (0, 2))) == [(2, 0), (1, 0), (0, 0), (0, 1), (0, 2)]
    assert list(x_first((0, 2), (1, 1))) == [(0, 2), (1, 2), (1, 1)]
    assert list(x_first((1, 1), (1, 1))) == [(1, 1)]


def test_of_equally_near_ports_the_first() -> None:
    assert nearest([(0, 0), (3, 0)], (2, 1)) == 1
    assert nearest([(0, 0), (2, 0)], (1, 1)) == 0
