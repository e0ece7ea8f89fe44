"""Einsum, convolutions, products of rank 4, constants on the left, scaling folded into layers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.recognise.fusing import Arrays, Fused, floats, fused


def products(text: str, weights: Arrays, inputs: Arrays, *, opset: int = 18) -> Fused:
    """Everything on the chip, and the numbers of onnxruntime."""
    found = fused(text, weights, opset=opset)
    assert found.counts()["host"] == 0, found.reasons()
    found.check(inputs, 1e-4)
    return found


@pytest.mark.parametrize(
    ("equation", "a", "b"),
    [
        ("bld,bmd->blm", (5, 3), (4, 3)),
        ("bhd,bmd->bhmd", (5, 3), (4, 3)),
        ("bd,bd->b", (3,), (3,)),
        ("bhld,bhmd->bhlm", (2, 5, 3), (2, 4, 3)),
        ("blhd,bmhd->bhlm", (5, 2, 3), (4, 2, 3)),
        ("bl,bld->bd", (5,), (5, 3)),
        ("bld,be->bde", (5, 3), (4,)),
        ("...d,...d->...", (5, 3), (5, 3)),
    ],
)
def test_einsum_of_activations(equation: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, z = floats(2, *a), floats(2, *b, seed=1)
    dims = ", ".join(map(str, a)), ", ".join(map(str, b))
    rank = np.einsum(equation, x, z).ndim
    out = ", ".join(["B", *"MNPQ"[: rank - 1]])
    found = products(
        f"m (float[B, {dims[0]}] x, float[B, {dims[1]}] z) => (float[{out}] y) "
        f'{{ y = Einsum<equation = "{equation}">(x, z) }}',
        {},
        {"x": x, "z": z},
    )
    assert found.counts()["matmul"] == 1


@pytest.mark.parametrize(
    ("equation", "a", "w", "layers"),
    [
        ("bi,io->bo", (6,), (6, 3), 1),
        ("bi,oi->bo", (6,), (3, 6), 1),
        ("bi,eio->beo", (6,), (2, 6, 3), 1),
        ("bei,eio->beo", (2, 6), (2, 6, 3), 2),
        ("bld,dhk->bhlk", (5, 6), (6, 2, 3), 1),
        ("bhlk,hkd->bld", (2, 5, 3), (2, 3, 4), 1),
        ("bld,d->bl", (5, 6), (6,), 1),
    ],
)
def test_einsum_with_weights(equation: str, a: tuple[int, ...], w: tuple[int, ...], layers: int) -> None:
    x, weight = floats(3, *a), floats(*w, seed=1)
    out = ", ".join(["B", *"MNPQ"[: np.einsum(equation, x, weight).ndim - 1]])
    for order in ("x, w", "w, x"):
        turned = (
            equation if order == "x, w" else "{1},{0}->{2}".format(*equation.replace("->", ",").split(","))
        )
        found = products(
            f"m (float[B, {', '.join(map(str, a))}] x) => (float[{out}] y) "
            f'{{ y = Einsum<equation = "{turned}">({order}) }}',
            {"w": weight},
            {"x": x},
        )
        assert found.counts()["linear"] == layers


def test_einsum_over_requests_stays_on_the_host() -> None:
    found = fused(
        """m (float[B, 4] x) => (float[M, N] y) {
            h = MatMul(x, w)
            y = Einsum<equation = "bi,bj->ij">(h, h)
        }""",
        {"w": floats(4, 4)},
    )
    assert found.reasons() == {"Einsum": "the batch does not stay dimension 0"}
    found.check({"x": floats(3, 4)}, 1e-4)


@pytest.mark.parametrize("lead", [(), (2,), (1,)])
def test_attention_product(lead: tuple[int, ...]) -> None:
    dims = "".join(f"{d}, " for d in lead)
    found = products(
        f"m (float[B, {dims}5, 3] q, float[B, {dims}3, 4] k) => (float[B, {dims}5, 4] y) "
        "{ y = MatMul(q, k) }",
        {},
        {"q": floats(2, *lead, 5, 3), "k": floats(2, *lead, 3, 4, seed=1)},
    )
    assert found.counts() == {"matmul": 1}


def test_attention_product_repeats_a_shared_factor() -> None:
    found = products(
        "m (float[B, 2, 5, 3] q, float[B, 1, 3, 4] k) => (float[B, 2, 5, 4] y) { y = MatMul(q, k) }",
        {},
        {"q": floats(2, 2, 5, 3), "k": floats(2, 1, 3, 4, seed=1)},
    )
    assert found.counts() == {"matmul": 1, "expand": 1}


@pytest.mark.parametrize("columns", [1, 4])
def test_constant_on_the_left(columns: int) -> None:
    found = products(
        f"m (float[B, 6, {columns}] x) => (float[B, 3, {columns}] y) {{ y = MatMul(w, x) }}",
        {"w": floats(3, 6)},
        {"x": floats(2, 6, columns)},
    )
    assert found.counts()["linear"] == 1
    assert found.counts()["transpose"] == (0 if columns == 1 else 2)


def test_constant_on_the_left_of_the_batch_stays_on_the_host() -> None:
    found = fused("m (float[2, 6] x) => (float[2, 6] y) { y = MatMul(w, x) }", {"w": floats(2, 2)})
    assert found.counts() == {"host": 1}


def test_vector_of_weights() -> None:
    found = products(
        "m (float[B, 5, 6] x) => (float[B, 5] y) { y = MatMul(x, w) }",
        {"w": floats(6)},
        {"x": floats(2, 5, 6)},
    )
    assert found.counts() == {"linear": 1, "reshape": 1}


@pytest.mark.parametrize("rows", [1, 2])
def test_stacked_matrices(rows: int) -> None:
    found = products(
        f"m (float[B, {rows}, 1, 6] x) => (float[B, 2, 1, 3] y) {{ y = MatMul(x, w) }}",
        {"w": floats(2, 6, 3)},
        {"x": floats(4, rows, 1, 6)},
    )
    assert found.counts()["linear"] == rows


def test_scaling_behind_a_layer_is_folded() -> None:
    found = products(
        """m (float[B, 6] x) => (float[B, 3] y) {
            p = MatMul(x, w)
            q = Add(p, b)
            r = Mul(q, s)
            t = Sub(one, r)
            y = Div(t, d)
        }""",
        {"w": floats(6, 3), "b": floats(3), "s": floats(3, seed=1), "one": np.float32(1), "d": np.float32(3)},
        {"x": floats(2, 6)},
    )
    assert found.counts() == {"linear": 1}


def test_a_layer_used_elsewhere_keeps_its_scale() -> None:
    found = products(
        "m (float[B, 6] x) => (float[B, 3] p, float[B, 3] y) { p = MatMul(x, w)\n y = Mul(p, s) }",
        {"w": floats(6, 3), "s": floats(3)},
        {"x": floats(2, 6)},
    )
    assert found.counts() == {"linear": 1, "constant": 1, "binary": 1}


@pytest.mark.parametrize(
    "attributes",
    [
        "group = 1",
        "pads = [1, 1], kernel_shape = [3]",
        "strides = [2]",
        "dilations = [2]",
        'auto_pad = "SAME_UPPER"',
        'auto_pad = "SAME_LOWER", strides = [2]',
    ],
)
def test_convolution_over_a_sequence(attributes: str) -> None:
    products(
        f"m (float[B, 4, 7] x) => (float[B, 5, N] y) {{ y = Conv<{attributes}>(x, w, b) }}",
        {"w": floats(5, 4, 3), "b": floats(5)},
        {"x": floats(2, 4, 7)},
    )


def test_convolution_over_two_axes_with_normalisation() -> None:
    found = products(
        """m (float[B, 2, 4, 6] x) => (float[B, 3, N, M] y) {
            c = Conv<pads = [0, 1, 0, 1]>(x, w)
            y = BatchNormalization(c, s, b, m, v)
        }""",
        {
            "w": floats(3, 2, 2, 3),
            "s": floats(3),
            "b": floats(3, seed=1),
            "m": floats(3, seed=2),
            "v": np.ones(3, np.float32),
        },
        {"x": floats(2, 2, 4, 6)},
    )
    assert found.counts()["binary"] == 0


@pytest.mark.parametrize(("groups", "units", "normal"), [(4, 4, False), (2, 6, True), (3, 3, False)])
def test_grouped_convolution_is_a_layer_per_group(groups: int, units: int, normal: bool) -> None:
    channels = 2 * groups
    weights = {"w": floats(units, 2, 3), "b": floats(units)}
    tail = "y = Relu(c)"
    if normal:
        tail = "n = BatchNormalization(c, s, t, u, v) y = Relu(n)"
        weights |= {"s": floats(units), "t": floats(units), "u": floats(units)}
        weights |= {"v": np.abs(floats(units)) + np.float32(0.5)}
    text = f"""m (float[B, {channels}, 7] x) => (float[B, {units}, N] y) {{
        c = Conv<group = {groups}, pads = [1, 1]>(x, w, b) {tail} }}"""
    found = fused(text, weights)
    found.check({"x": floats(3, channels, 7)})
    assert found.counts()["linear"] == groups
    assert found.ctx.remarks.recognition.host == ()


def test_a_convolution_of_many_groups_stays_on_the_host() -> None:
    found = fused(
        "m (float[B, 80, 7] x) => (float[B, 80, N] y) { y = Conv<group = 80>(x, w) }",
        {"w": floats(80, 1, 3)},
    )
    assert found.reasons() == {"Conv": "the channels are convolved in 80 groups, a layer each"}
