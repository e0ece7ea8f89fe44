"""Tables whose rows have scales of their own, in every spelling, through the whole compiler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import cimc
from cimc.compare.check import Bound, check_outputs
from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate
from cimc.ir import cim, rec
from cimc.ir.text import parse_ir, print_ir
from cimc.target.load_target import load_target
from cimc.transforms.pipeline import Pipeline
from tests.transforms.recognise.fusing import Arrays, Fused, fuse, fused, model

ROWS, DIM = 40, 6
RNG = np.random.default_rng(7)
SCALES = RNG.uniform(0.001, 0.1, ROWS).astype(np.float32)
BIASES = RNG.standard_normal(ROWS).astype(np.float32)
CONSTANTS: Arrays = {
    "q": RNG.integers(0, 256, (ROWS, DIM)).astype(np.uint8),
    "i8": RNG.integers(-127, 128, (ROWS, DIM)).astype(np.int8),
    "s": SCALES,
    "b": BIASES,
    "z": RNG.integers(110, 140, ROWS).astype(np.uint8),
    "s2": SCALES[:, None],
    "b2": BIASES[:, None],
    "per_column": SCALES[:DIM],
    "last": np.array([-1]),
    "a1": np.array([1]),
    "a2": np.array([2]),
    "half": np.array(0.5, np.float32),
    "middle": np.array(128, np.float32),
    "blocks": np.stack([SCALES, SCALES[::-1]], axis=1),
}
GATHERED = "g = Gather({q}, ids) f = Cast<to = 1>(g) k = Gather(s, ids) u = Unsqueeze(k, last)"
COLUMN = "h = Gather(b, ids) w = Unsqueeze(h, last)"
FORMS = {
    "dequantised": "t = DequantizeLinear<axis = 0>(i8, s) r = Gather(t, ids)",
    "dequantised around zero points": "t = DequantizeLinear<axis = 0>(q, s, z) r = Gather(t, ids)",
    "scaled": GATHERED.format(q="i8") + " r = Mul(f, u)",
    "scaled and shifted": GATHERED.format(q="q") + f" {COLUMN} m = Mul(f, u) r = Add(m, w)",
    "shift taken away": GATHERED.format(q="q") + f" {COLUMN} m = Mul(u, f) r = Sub(m, w)",
    "columns": """g = Gather(q, ids) f = Cast<to = 1>(g) u = Gather(s2, ids) w = Gather(b2, ids)
        m = Mul(f, u) r = Add(w, m)""",
    "zero points": GATHERED.format(q="q")
    + """ n = Gather(z, ids) nf = Cast<to = 1>(n)
        nu = Unsqueeze(nf, last) e = Sub(f, nu) r = Mul(e, u)""",
    "one zero point": GATHERED.format(q="q") + " e = Sub(f, middle) r = Mul(e, u)",
    "divided": "g = Gather(i8, ids) f = Cast<to = 1>(g) k = Gather(s2, ids) r = Div(f, k)",
    "scaled before": """f = Cast<to = 1>(q) m = Mul(f, s2) t = Add(m, b2) r = Gather(t, ids)""",
    "half before, half behind": """f = Cast<to = 1>(q) g = Gather(f, ids) u = Gather(s2, ids)
        w = Gather(b2, ids) m = Mul(g, u) r = Add(m, w)""",
    "integers first": """g = Gather(q, ids) i = Cast<to = 6>(g) n = Gather(z, ids) ni = Cast<to = 6>(n)
        nu = Unsqueeze(ni, last) e = Sub(i, nu) f = Cast<to = 1>(e) u = Gather(s2, ids) r = Mul(f, u)""",
}
POOLS = {
    "none": ("y = Identity(r)", "B, 3, 6"),
    "sum": ("y = ReduceSum<keepdims = 0>(r, a1)", "B, 6"),
    "mean": ("y = ReduceMean<axes = [1], keepdims = 0>(r)", "B, 6"),
    "max": ("y = ReduceMax<axes = [1], keepdims = 0>(r)", "B, 6"),
    "weighted": ("v = Unsqueeze(weights, a2) x = Mul(r, v) y = ReduceSum<keepdims = 0>(x, a1)", "B, 6"),
}
IDS = RNG.integers(0, ROWS, (9, 3))


def built(form: str, pool: str = "none", opset: int = 17) -> tuple[Fused, Arrays]:
    body, out = POOLS[pool]
    weights = ", float[B, 3] weights" if pool == "weighted" else ""
    found = fused(
        f"m (int64[B, 3] ids{weights}) => (float[{out}] y) {{ {form} {body} }}", CONSTANTS, opset=opset
    )
    inputs: Arrays = {"ids": IDS}
    if weights:
        inputs["weights"] = RNG.standard_normal(IDS.shape).astype(np.float32)
    return found, inputs


def only_bag(found: Fused) -> rec.EmbeddingBagOp:
    (bag,) = found.ops("rec.embedding_bag")
    assert isinstance(bag, rec.EmbeddingBagOp)
    return bag


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("form", FORMS)
def test_scales_are_kept(form: str, pool: str) -> None:
    found, inputs = built(FORMS[form], pool)
    assert set(found.counts()) == ({"embedding_bag", "host"} if pool == "weighted" else {"embedding_bag"})
    bag = only_bag(found)
    assert bag.row_scales is not None
    assert bag.mode.data == {"weighted": "sum"}.get(pool, pool)
    found.check(inputs, 2e-5)


@pytest.mark.parametrize("target", ["tsinghua28", "isaac32"])
@pytest.mark.parametrize("pool", POOLS)
def test_the_chip_scales_each_row(pool: str, target: str, tmp_path: Path) -> None:
    found, inputs = built(FORMS["scaled and shifted"], pool)
    onnx.save(found.proto, tmp_path / "m.onnx")
    program = cimc.compile(tmp_path / "m.onnx", target=target, calib=inputs)
    (matrix,) = program.data.matrices
    assert matrix.pool_rows == 1
    assert program.data.data[f"{matrix.name}.row_scales"].shape == (ROWS,)
    assert any("read one at a time" in n for n in program.notes) == (pool in ("sum", "mean"))
    exact = program.run(inputs, mode="exact").outputs["y"]
    assert check_outputs(run_onnx(found.proto, inputs), {"y": exact}, Bound()).passed
    np.testing.assert_array_equal(program.run(inputs, mode="adc").outputs["y"], exact)
    found.ctx.target, found.ctx.calibration = load_target(target), dict(inputs)
    Pipeline.parse("quantize,shard").run(found.module, found.ctx)
    np.testing.assert_array_equal(evaluate(found.module, found.ctx, inputs)["y"], exact)
    text = print_ir(found.module)
    assert f"row_scales @{matrix.name}.row_scales row_biases @{matrix.name}.row_biases" in text
    assert print_ir(parse_ir(text, found.ctx)) == text


@pytest.mark.parametrize("form", FORMS)
def test_every_spelling_is_compiled_with_its_scales(form: str, tmp_path: Path) -> None:
    """Constant folding comes first, and leaves the integers of tables alone."""
    found, inputs = built(FORMS[form])
    onnx.save(found.proto, tmp_path / "m.onnx")
    program = cimc.compile(tmp_path / "m.onnx", target="isaac32", calib=inputs)
    (matrix,) = program.data.matrices
    assert f"{matrix.name}.row_scales" in program.data.data
    assert program.data.remarks.recognition.host == ()
    expected = run_onnx(found.proto, inputs)
    assert check_outputs(expected, program.run(inputs).outputs, Bound()).passed


def test_scales_survive_the_text_forms(tmp_path: Path) -> None:
    found, inputs = built(FORMS["scaled and shifted"], "sum")
    onnx.save(found.proto, tmp_path / "m.onnx")
    program = cimc.compile(tmp_path / "m.onnx", calib=inputs)
    program.save(tmp_path / "m.cimc")
    again = cimc.Program.load(tmp_path / "m.cimc")
    np.testing.assert_array_equal(again.run(inputs).outputs["y"], program.run(inputs).outputs["y"])


@pytest.mark.parametrize("batch", ["B", "9"])
@pytest.mark.parametrize("opset", [9, 11, 13, 18, 21, 24])
def test_operator_sets(opset: int, batch: str) -> None:
    body = "g = Gather(q, ids) f = Cast<to = 1>(g) u = Gather(s2, ids) r = Mul(f, u) y = Identity(r)"
    proto = model(
        f"m (int64[{batch}, 3] ids) => (float[{batch}, 3, 6] y) {{ {body} }}", CONSTANTS, opset=opset
    )
    proto.ir_version = 4 if opset < 13 else 8
    found = fuse(proto)
    assert only_bag(found).row_scales is not None
    found.check({"ids": IDS}, 2e-5)


@pytest.mark.parametrize(
    ("dims", "node"),
    [
        ("B", "y = DequantizeLinear<axis = 0>(g, k, n)"),
        (
            "B, 3",
            """ku = Unsqueeze(k, last) nu = Unsqueeze(n, last)
            y = DequantizeLinear<axis = 2, block_size = 6>(g, ku, nu)""",
        ),
    ],
)
def test_gathered_rows_are_dequantised(dims: str, node: str) -> None:
    found = fused(
        f"""m (int64[{dims}] ids) => (float[{dims}, 6] y) {{
            g = Gather(q, ids) k = Gather(s, ids) n = Gather(z, ids) {node} }}""",
        CONSTANTS,
        opset=21,
    )
    assert only_bag(found).row_scales is not None
    assert found.reasons() == {}
    found.check({"ids": IDS[:, 0] if dims == "B" else IDS}, 2e-5)


def test_equal_scales_are_one_and_rows_are_pooled_in_the_array() -> None:
    found = fused(
        """m (int64[B, 3] ids) => (float[B, 6] y) {
            g = Gather(i8, ids) f = Cast<to = 1>(g) r = Mul(f, half) y = ReduceSum<keepdims = 0>(r, a1)
        }""",
        CONSTANTS,
    )
    bag = only_bag(found)
    assert bag.scale is not None
    assert (bag.scale.value.data, bag.row_scales) == (0.5, None)
    found.check({"ids": IDS})


@pytest.mark.parametrize(
    "form",
    {
        "other ids": """g = Gather(i8, ids) f = Cast<to = 1>(g) o = Mul(ids, zero) k = Gather(s, o)
            u = Unsqueeze(k, last) r = Mul(f, u)""",
        "a scale per column": "g = Gather(i8, ids) f = Cast<to = 1>(g) r = Mul(f, per_column)",
        "negative scales": """g = Gather(i8, ids) f = Cast<to = 1>(g) k = Gather(b2, ids) r = Mul(f, k)""",
        "narrow integers wrap around": """g = Gather(q, ids) n = Gather(z, ids) u = Unsqueeze(n, last)
            e = Sub(g, u) f = Cast<to = 1>(e) k = Gather(s2, ids) r = Mul(f, k)""",
        "along another axis": """g = Gather(i8, ids) f = Cast<to = 1>(g) k = Gather<axis = 1>(b2t, ids)
            r = Mul(f, k)""",
    }.values(),
    ids=lambda _: "",
)
def test_near_misses_stay_right(form: str) -> None:
    constants = CONSTANTS | {"zero": np.array(0), "b2t": BIASES[None, :, None]}
    if "b2t" in form:
        form = form.replace("r = Mul(f, k)", "kk = Squeeze(k, a0) r = Mul(f, kk)")
        constants["a0"] = np.array([0])
    found = fused(f"m (int64[B, 3] ids) => (float[B, 3, 6] y) {{ {form} y = Identity(r) }}", constants)
    assert all(b.properties.get("row_scales") is None for b in found.ops("rec.embedding_bag"))
    found.check({"ids": IDS})


def narrow(kind: str, scales: str, dim: int = DIM, opset: int = 21) -> onnx.ModelProto:
    """A 4-bit table under DequantizeLinear, summed over three ids."""
    element = getattr(TensorProto, kind)
    rng = np.random.default_rng(3)
    low = 0 if kind == "UINT4" else -8
    q = rng.integers(low, low + 16, (ROWS, dim))
    shape = {"one": (), "row": (ROWS,), "block": (ROWS, 1), "two blocks": (ROWS, 2)}[scales]
    attributes = {
        "one": {},
        "row": {"axis": 0},
        "block": {"axis": 1, "block_size": dim},
        "two blocks": {"axis": 1, "block_size": -(-dim // 2)},
    }[scales]
    zero = np.full(shape, 8 if kind == "UINT4" else 0)
    weights = [
        helper.make_tensor("q", element, q.shape, q.reshape(-1).tolist()),
        numpy_helper.from_array(np.asarray(rng.uniform(0.01, 0.1, shape), np.float32), "s"),
        helper.make_tensor("z", element, shape, zero.reshape(-1).tolist()),
        numpy_helper.from_array(np.array([1]), "a1"),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["t"], **attributes),
        helper.make_node("Gather", ["t", "ids"], ["r"]),
        helper.make_node("ReduceSum", ["r", "a1"], ["y"], keepdims=0),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", dim])
    graph = helper.make_graph(nodes, "g", [ids], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.mark.parametrize("scales", ["one", "row", "block", "two blocks"])
@pytest.mark.parametrize("kind", ["INT4", "UINT4"])
def test_four_bits(kind: str, scales: str, tmp_path: Path) -> None:
    proto = narrow(kind, scales, dim=7)
    found = fuse(proto)
    assert found.reasons() == {}
    bags = [b for b in found.ops("rec.embedding_bag") if isinstance(b, rec.EmbeddingBagOp)]
    assert len(bags) == (2 if scales == "two blocks" else 1)
    assert all((b.scale is None) == (b.row_scales is not None) for b in bags)
    found.check({"ids": IDS})
    onnx.save(proto, tmp_path / "m.onnx")
    program = cimc.compile(tmp_path / "m.onnx", calib={"ids": IDS})
    assert {m.bits for m in program.data.matrices} == {5}  # -8 .. 7, and cells are symmetric
    assert {m.pool_rows == 1 for m in program.data.matrices} == {scales != "one"}
    expected = run_onnx(proto, {"ids": IDS})["y"]
    for mode in ("exact", "adc"):
        np.testing.assert_allclose(
            program.run({"ids": IDS}, mode=mode).outputs["y"], expected, rtol=1e-5, atol=1e-5
        )


def test_four_bits_forced() -> None:
    """What four bits of cells do not hold is quantised again, row by row."""
    found = fuse(narrow("INT4", "row"))
    found.ctx.target, found.ctx.calibration = load_target("isaac32"), {"ids": IDS}
    before = found.ctx.store["q.int"]
    Pipeline.parse("quantize{tables=4}").run(found.module, found.ctx)
    (matrix,) = [o for o in found.module.body.block.ops if isinstance(o, cim.MatrixOp)]
    assert matrix.bits.value.data == 4
    assert any("quantised again" in n for n in found.ctx.notes)
    integers = found.ctx.store[matrix.data.root_reference.data]
    assert np.abs(integers).max() == 7
    untouched = np.abs(before).max(axis=1) <= 7
    assert untouched.any()
    np.testing.assert_array_equal(integers[untouched], before[untouched])
    expected = run_onnx(found.proto, {"ids": IDS})["y"]
    error = np.abs(evaluate(found.module, found.ctx, {"ids": IDS})["y"] - expected)
    assert error.max() <= 3 * 0.1 * 0.6


PACKED = {
    "bytes": (8, np.uint8, None),
    "bytes around zero points": (8, np.uint8, np.uint8),
    "two in a byte": (4, np.uint8, None),
    "two in a byte around zero points": (4, np.uint8, np.uint8),
}


@pytest.mark.parametrize("dim", [16, 24, 48])
@pytest.mark.parametrize("form", PACKED)
def test_gather_block_quantized(form: str, dim: int) -> None:
    """onnxruntime's own operator: 16 columns to a scale, so a row of 24 is two tables."""
    bits, _, zeros = PACKED[form]
    rng = np.random.default_rng(5)
    blocks, per_byte = -(-dim // 16), 8 // bits
    weights: Arrays = {
        "q": rng.integers(0, 256, (ROWS, dim // per_byte)).astype(np.uint8),
        "s": rng.uniform(0.01, 0.1, (ROWS, blocks)).astype(np.float32),
    }
    if zeros is not None:
        weights["z"] = rng.integers(0, 256, (ROWS, -(-blocks // per_byte))).astype(np.uint8)
    node = helper.make_node(
        "GatherBlockQuantized", ["q", "ids", *list(weights)[1:]], ["y"], domain="com.microsoft",
        bits=bits, block_size=16, gather_axis=0, quantize_axis=1,
    )  # fmt: skip
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", 3, dim])
    initialisers = [numpy_helper.from_array(a, n) for n, a in weights.items()]
    graph = helper.make_graph([node], "g", [ids], [y], initialisers)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    found = fuse(helper.make_model(graph, opset_imports=opsets, ir_version=10))
    assert found.reasons() == {}
    assert found.counts()["embedding_bag"] == blocks
    assert all(b.properties.get("row_scales") is not None for b in found.ops("rec.embedding_bag"))
    found.check({"ids": IDS})


def test_float_tables_by_row_on_demand() -> None:
    """Rows of very different size, in four bits: a scale per row is what keeps the small ones."""
    table = (RNG.standard_normal((ROWS, 8)) * 10.0 ** RNG.uniform(-3, 1, (ROWS, 1))).astype(np.float32)
    text = "m (int64[B, 3] ids) => (float[B, 3, 8] y) { y = Gather(table, ids) }"
    errors = {}
    for options in ("tables=4", "tables=4 rowwise=true"):
        found = fused(text, {"table": table})
        found.ctx.target, found.ctx.calibration = load_target("isaac32"), {"ids": IDS}
        Pipeline.parse(f"quantize{{{options}}}").run(found.module, found.ctx)
        (matrix,) = [o for o in found.module.body.block.ops if isinstance(o, cim.MatrixOp)]
        assert (matrix.row_scales is not None) == ("rowwise" in options)
        actual = evaluate(found.module, found.ctx, {"ids": IDS})["y"]
        peaks = np.abs(table[IDS]).max(axis=2, keepdims=True)
        errors[options] = (np.abs(actual - table[IDS]) / peaks).max()
    assert errors["tables=4 rowwise=true"] <= 0.5 / 7 + 1e-6
    assert errors["tables=4"] > 0.9  # small rows vanish


@pytest.mark.parametrize("mode", ["Sum", "Mean", "Max"])
def test_bags_cut_out_by_a_loop(mode: str) -> None:
    """Rows are scaled once for all bags, then a loop pools the rows of each."""
    found = fused(
        f"""m (int64[N] ids, int64[B] offsets) => (float[B, {DIM}] y) {{
            {FORMS["scaled and shifted"]}
            size = Shape(ids) v = Concat<axis = 0>(offsets, size) bags = Size(offsets)
            y = Loop(bags, "") <body = b (int64 i, bool c) => (bool c2, float[{DIM}] row) {{
                c2 = Identity(c) after = Add(i, n1) lo = Gather(v, i) hi = Gather(v, after)
                start = Unsqueeze(lo, a0) end = Unsqueeze(hi, a0) part = Slice(r, start, end, a0)
                row = Reduce{mode}<keepdims = 0>(part, a0) }}>
        }}""",
        CONSTANTS | {"n1": np.array(1), "a0": np.array([0])},
    )
    bag = only_bag(found)
    assert (bag.mode.data, bag.layout.data) == (mode.lower(), "offsets")
    assert bag.row_scales is not None
    found.check({"ids": IDS.reshape(-1), "offsets": np.array([0, 4, 5, 11, 20])}, 2e-5)


@pytest.mark.parametrize("pool", ["sum", "mean"])
def test_masked_lists(pool: str) -> None:
    end = "y = Identity(t)" if pool == "sum" else "n = ReduceSum(mask, a1) c = Max(n, f1) y = Div(t, c)"
    found = fused(
        f"""m (int64[B, 3] ids) => (float[B, {DIM}] y) {{
            {FORMS["scaled and shifted"]} e = Equal(ids, pad) o = Not(e) mask = Cast<to = 1>(o)
            x = Unsqueeze(mask, a2) p = Mul(r, x) t = ReduceSum<keepdims = 0>(p, a1) {end}
        }}""",
        CONSTANTS | {"pad": np.array(0), "f1": np.array(1, np.float32)},
    )
    bag = only_bag(found)
    assert bag.padding is not None
    assert (bag.mode.data, bag.row_scales is not None) == (pool, True)
    found.check({"ids": np.array([[3, 0, 0], [0, 0, 0], [39, 7, 1]])}, 2e-5)
