"""The pass as a whole: exported models keep their outputs, host segments are sound, reasons are given."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp

from cimc.errors import PassError
from cimc.frontend.import_graph import import_model
from cimc.frontend.read.load_model import load_model
from cimc.interpreter.evaluate import evaluate, main_function
from cimc.ir import rec
from cimc.ir.text import new_context, parse_ir, print_ir
from cimc.remarks import HostNode, ModelLayer
from cimc.transforms.onnx.canonicalize import Canonicalize
from models.tiny import mlp, tiny_dlrm
from tests.conftest import CORPUS
from tests.transforms.recognise.fusing import floats, fuse, fused, imported, recognise

MODELS = sorted(CORPUS.glob("*.onnx"))
needs_corpus = pytest.mark.skipif(not MODELS, reason="the corpus of exported models is not here")

# Models whose name starts so: tables, bags and linear layers on the chip, and operators left to the host.
EXPECTED = {
    "bag_": (1, 1, 0, set()),
    "deepctr_DCN": (10, 18, 6, set()),
    "deepctrtorch_": (52, 52, 4, set()),
    "fbdlrm8_dotself": (8, 8, 7, {"Gather"}),
    "fbdlrm8_qr_mult": (15, 15, 7, {"Cast", "Div", "Gather", "Mod"}),
    "fbdlrm_CLI": (8, 8, 7, {"Gather"}),
    "fbdlrm_kaggle": (26, 26, 7, {"Gather"}),
    "hugectr_dlrm": (1, 1, 6, {"Gather"}),
    "nvdlrm": (26, 26, 6, set()),
    "rechub_DSSM": (7, 8, 6, set()),
    "rechub_Youtube": (6, 6, 3, set()),
    "tf_ragged": (1, 1, 0, set()),
    "tfrs_dlrm_dot": (12, 12, 5, set()),
    "torchrec_dlrm": (8, 8, 7, None),  # all of them index preparation
    "torchrec_twotower": (2, 2, 4, None),
}


def is_fused(module: ModuleOp) -> bool:
    """Whether no ``onnx`` operation stands outside of a host segment."""
    return not any(op.name.startswith("onnx.") for op in main_function(module).body.block.ops)


@needs_corpus
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
@pytest.mark.parametrize("canonical", [False, True], ids=["imported", "canonical"])
def test_exported_models_keep_their_outputs(path: Path, canonical: bool) -> None:
    ctx = new_context()
    module = import_model(load_model(path), ctx)
    if canonical:
        Canonicalize().apply(ctx, module)
    recognise(module, ctx)
    assert is_fused(module)
    arrays = np.load(path.with_suffix(".npz"))
    found = evaluate(module, ctx, {k[4:]: arrays[k] for k in arrays if k.startswith("in__")})
    for key in arrays:
        if key.startswith("out__"):
            np.testing.assert_allclose(found[key[5:]], arrays[key], rtol=1e-4, atol=1e-4)
    expected = [e for prefix, e in EXPECTED.items() if path.stem.startswith(prefix)]
    said = ctx.remarks.recognition
    if expected:
        tables, bags, linear, host = expected[0]
        assert len(said.tables) == tables
        assert sum(t.bags for t in said.tables) == bags
        assert len(said.linear) == linear
        reasons = {h.op: h.reason for h in said.host}
        if host is None:
            assert set(reasons.values()) == {"index preparation"}
        else:
            assert set(reasons) == host
    text = print_ir(module)
    assert print_ir(parse_ir(text, ctx)) == text


@pytest.mark.parametrize("seed", range(3))
def test_tiny_dlrm_is_all_on_the_chip(seed: int) -> None:
    proto, inputs = tiny_dlrm(seed, tables=2 + seed)
    found = fuse(proto)
    assert found.counts()["host"] == 0
    assert found.counts()["embedding_bag"] == 2 + seed
    assert found.counts()["dot_interaction"] == 1
    found.check(inputs)


def test_multilayer_perceptron_has_nothing_but_layers() -> None:
    proto, inputs = mlp((20, 8, 3), last="Sigmoid")
    found = fuse(proto)
    assert found.counts() == {"linear": 2, "unary": 2}
    found.check(inputs, 1e-4)


def test_remarks_account_for_every_node() -> None:
    found = fused(
        """m (float[B, 4] x, int64[B] ids) => (float[B, 4] y) {
            h = MatMul(x, w)
            e = Hardmax(h)
            q = Mod(ids, n)
            r = Gather(t, q)
            y = Add(e, r)
        }""",
        {"w": floats(4, 4), "t": floats(30, 4), "n": np.array(30)},
    )
    said = found.ctx.remarks.recognition
    assert said.nodes == said.chip + said.folded + len(said.host) == 5
    assert said.host == (
        HostNode("Hardmax", "Hardmax:e", "no counterpart on the chip"),
        HostNode("Mod", "Mod:q", "index preparation"),
    )
    assert said.segments == 2
    assert said.linear == (ModelLayer("w", "MatMul:h", 4, 4),)
    reasons = [str(a) for op in found.ops("rec.host") for a in op.properties["reasons"]]  # type: ignore[attr-defined]
    assert reasons == ['"Mod: index preparation"', '"Hardmax: no counterpart on the chip"']
    found.check({"x": floats(3, 4), "ids": np.array([31, 2, 65])})


def test_a_model_without_tables_or_layers_stays_on_the_host_whole() -> None:
    found = fused("m (float[B, 4] x) => (float[B, 4] y) { r = Relu(x)\n e = Erf(r)\n y = Neg(e) }")
    assert found.counts() == {"host": 1}
    assert found.reasons()["Relu"] == "nothing beside it needs the chip's arrays"
    found.check({"x": floats(3, 4)})


def test_outputs_that_are_inputs_or_constants() -> None:
    found = fused(
        "m (float[B, 4] x) => (float[B, 4] x, float[2] c, float[B, 4] y) { y = MatMul(x, w) }",
        {"w": floats(4, 4), "c": floats(2)},
    )
    assert found.counts() == {"linear": 1, "host": 1}
    found.check({"x": floats(3, 4)})


def test_a_model_of_which_no_node_is_left_has_all_its_remarks() -> None:
    found = fused("m (float[B, 4] x) => (float[B, 4] x) { }")
    assert found.ctx.remarks.recognition.chip == 0
    assert found.ctx.remarks.recognition.work.host == ()


def test_sums_over_no_requests() -> None:
    found = fused(
        "m (float[B, 4] x) => (float[B, 1] y) { h = MatMul(x, w) y = ReduceSum(h, a1) }",
        {"w": floats(4, 3), "a1": np.array([1])},
    )
    assert found.counts()["reduce"] == 1
    found.check({"x": floats(0, 4)})


def test_weights_without_a_row_per_activation_are_no_layer() -> None:
    for product in ("MatMul(x, w)", "Gemm(x, w)"):
        found = fused(f"m (float[B, 3] x) => (float[B, 2] y) {{ y = {product} }}", {"w": floats(4, 2)})
        assert found.counts() == {"host": 1}


def test_loops_on_the_host_may_read_chip_values() -> None:
    found = fused(
        """m (float[B, 4] x) => (float[B, 4] y, float[B, 4] z) {
            h = MatMul(x, w)
            s = Shape<end = 1>(x)
            n = Squeeze(s)
            l = Loop<body = body (int64 i, bool c) => (bool on, float[4] row) {
                g = Gather(h, i)
                row = Erf(g)
                on = Identity(yes)
            }>(n, yes)
            y = MatMul(l, w)
            z = Relu(h)
        }""",
        {"w": floats(4, 4), "yes": np.array(True)},
    )
    assert found.counts() == {"linear": 2, "unary": 1, "host": 1}
    found.check({"x": floats(3, 4)})


def test_a_later_segment_reads_an_earlier_one() -> None:
    found = fused(
        """m (float[B, 4] x) => (float[C, 4] y) {
            e = Hardmax(x)
            h = MatMul(e, w)
            y = Concat<axis = 0>(e, h)
        }""",
        {"w": floats(4, 4)},
    )
    assert [o.name for o in found.ops()] == ["rec.host", "rec.linear", "rec.host"]
    found.check({"x": floats(3, 4)})


def test_only_some_recognisers() -> None:
    proto, inputs = mlp((20, 8, 3))
    found = fuse(proto, only=("linear",))
    assert found.counts() == {"linear": 2, "host": 1}
    found.check(inputs, 1e-4)
    module, ctx = imported(proto)
    with pytest.raises(PassError) as error:
        recognise(module, ctx, only=("linaer",))
    assert error.value.code == "pass.bad-option"


def test_it_runs_twice_without_effect_and_twice_with_the_same() -> None:
    proto, _ = tiny_dlrm(0)
    one, two = fuse(proto), fuse(proto)
    text = print_ir(one.module)
    assert text == print_ir(two.module)
    recognise(one.module, one.ctx)
    assert print_ir(one.module) == text


def random_graph(seed: int, size: int) -> str:
    """A graph over ``[B, 4]`` values of operators that the chip has and operators that it has not."""
    rng = random.Random(seed)
    values, lines = ["x", "z"], []
    for k in range(size):
        a, b = rng.choice(values), rng.choice(values)
        lines.append(
            f"v{k} = "
            + rng.choice(
                [
                    f"MatMul({a}, w)",
                    f"Relu({a})",
                    f"Erf({a})",
                    f"Softsign({a})",
                    f"Add({a}, {b})",
                    f"Mul({a}, {b})",
                    f"Where(flags, {a}, {b})",
                    f"Softmax<axis = {rng.choice([0, 1])}>({a})",
                    f"Identity({a})",
                    f"CumSum({a}, axis)",
                ]
            )
        )
        values.append(f"v{k}")
    outputs = sorted({values[-1], rng.choice(values[2:])})
    head = ", ".join(f"float[B, 4] {o}" for o in outputs)
    return f"m (float[B, 4] x, float[B, 4] z) => ({head}) {{\n" + "\n".join(lines) + "\n}"


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(1, 20))
def test_random_mixtures_of_chip_and_host(seed: int, size: int) -> None:
    found = fused(
        random_graph(seed, size),
        {"w": floats(4, 4) / 4, "flags": np.array([True, False, True, False]), "axis": np.array(0)},
    )
    assert is_fused(found.module)
    _check_turns(found.module)
    found.check({"x": floats(3, 4, seed=1), "z": floats(3, 4, seed=2)}, 1e-4)


def _check_turns(module: ModuleOp) -> None:
    """Between two host segments stands a chip operation: fewer segments were not possible."""
    before: rec.HostOp | None = None
    for op in main_function(module).body.block.ops:
        if isinstance(op, rec.HostOp):
            assert before is None or any("index" in str(r) for r in before.reasons or ())
            before = op
            assert all(o.name.startswith("onnx.") or isinstance(o, rec.YieldOp) for o in op.body.ops)
        elif not isinstance(op, rec.ConstantOp):
            before = None
