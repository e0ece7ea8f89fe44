"""Einsum request by request, against onnxruntime: letters drawn, and what stays with the host."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimc.errors import CimcError
from cimc.host.runtime import run_onnx
from tests.transforms.recognise.fusing import Arrays, Fused, floats, fuse, fused, model

EXTENT = {"i": 2, "j": 3, "k": 4, "l": 1}


def product(first: str, second: str, out: str, constant: bool) -> tuple[Fused, Arrays]:
    """Of two activations, or of one and a constant; ``b`` is the batch."""

    def dims(term: str) -> str:
        return ", ".join("B" if c == "b" else str(EXTENT[c]) for c in term)

    def array(term: str, seed: int) -> np.ndarray:
        return floats(*(3 if c == "b" else EXTENT[c] for c in term), seed=seed)

    given = "" if constant else f", float[{dims(second)}] z"
    inputs = {"x": array(first, 0), **({} if constant else {"z": array(second, 1)})}
    proto = model(
        f"m (float[{dims(first)}] x{given}) => (float[] y) "
        f'{{ y = Einsum<equation = "{first},{second}->{out}">(x, {"w" if constant else "z"}) }}',
        {"w": array(second, 1)} if constant else None,
    )
    try:
        run_onnx(proto, inputs)
    except CimcError:
        assume(False)
    return fuse(proto), inputs


LETTERS = st.lists(st.sampled_from("ijkl"), unique=True, max_size=3).map("".join)


@given(LETTERS, LETTERS, st.booleans(), st.data())
@settings(max_examples=15, deadline=None)
def test_products_of_drawn_letters(first: str, second: str, constant: bool, data: st.DataObject) -> None:
    assume(second or not constant)
    pool = sorted(set(first) | set(second))
    out = "b" + "".join(data.draw(st.lists(st.sampled_from(pool), unique=True)) if pool else [])
    found, inputs = product("b" + first, second if constant else "b" + second, out, constant)
    found.check(inputs, 1e-4)


@pytest.mark.parametrize(
    ("terms", "constant", "kinds"),
    [
        (("bi", "ij", "bj"), True, {"linear": 1}),
        (("bji", "ik", "bjk"), True, {"linear": 1}),
        (("bij", "bjk", "bik"), False, {"matmul": 1}),
        (("bij", "ijk", "bik"), True, {"linear": 2}),
    ],
)
def test_what_it_becomes(terms: tuple[str, str, str], constant: bool, kinds: dict[str, int]) -> None:
    found, inputs = product(*terms, constant)
    found.check(inputs, 1e-4)
    assert found.reasons() == {}
    assert kinds.items() <= found.counts().items()


@pytest.mark.parametrize(
    ("equation", "operands", "reason"),
    [
        ("bi->ib", "x", "the batch does not stay dimension 0"),
        ("bi->i", "x", "the batch does not stay dimension 0"),
        ("bi,i->bi", "x, v", "no letter is summed: a product with a constant, element by element"),
    ],
)
def test_what_stays_with_the_host(equation: str, operands: str, reason: str) -> None:
    text = f'm (float[B, 4] x) => (float[] y) {{ y = Einsum<equation = "{equation}">({operands}) }}'
    found = fused(text, {"v": floats(4)})
    found.check({"x": floats(4, 4)})
    assert found.reasons()["Einsum"] == reason


def test_an_ellipsis_stands_for_the_axes_left() -> None:
    text = 'm (float[B, 2, 4] x) => (float[] y) { y = Einsum<equation = "...i,ij->...j">(x, w) }'
    found = fused(text, {"w": floats(4, 3)})
    found.check({"x": floats(3, 2, 4)}, 1e-4)
    assert found.reasons() == {}


def test_a_result_that_is_implied_has_letters_in_order() -> None:
    found = fused(
        'm (float[B, 4] x) => (float[] y) { y = Einsum<equation = "ai,ij">(x, w) }', {"w": floats(4, 3)}
    )
    found.check({"x": floats(3, 4)}, 1e-4)
    assert found.counts()["linear"] == 1
