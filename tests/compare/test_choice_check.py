"""Ids that are chosen by scores: near ties pass, wrong ids do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import cimc
from cimc.compare.check import Bound, Check
from cimc.compare.following import check_choices_and_outputs, follow
from cimc.host.choices import Recorder

USERS, ITEMS, DIM, BATCH, K = 60, 200, 16, 48, 8
RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


IDS = RNG.permutation(np.arange(1000, 1000 + ITEMS))
CONSTANTS: dict[str, np.ndarray] = {
    "users": floats(USERS, DIM), "w1": floats(DIM, 24) / 4, "w2": floats(24, DIM) / 8,
    "items": floats(DIM, ITEMS),
    "k": np.array([K]), "one": np.array([1]), "all": np.array([ITEMS]), "ids": IDS,
    "ids32": IDS.astype(np.int32), "base": np.array(7), "vectors": floats(ITEMS, 6), "w3": floats(6, 4),
    "names": np.array([f"item {i:03}" for i in IDS], dtype=object), "last": np.array([-1]),
    "never": np.float32(-np.inf), "low": np.float32(-1e9), "zero": np.float32(0),
    "allowed": RNG.random((1, ITEMS)) < 0.6, "axis1": np.array([1]), "shape": np.array([-1]),
    "norms": np.float32(DIM) + floats(ITEMS) ** 2, "two": np.float32(2), "codes": floats(DIM, 32),
    "book": floats(32, DIM), "again": floats(DIM, ITEMS), "column": np.arange(K)[None],
}  # fmt: skip
TOWER = "u = Gather(users, uid) h = MatMul(u, w1) r = Relu(h) q = MatMul(r, w2) "
SCORES = TOWER + "s = MatMul(q, items) "
TOP = "v, p = TopK(s, k) "
# name: (outputs, nodes behind the tower)
HEADS: dict[str, tuple[str, str]] = {
    "positions and values": ("float[B,8] v, int64[B,8] p", SCORES + TOP),
    "positions alone": ("int64[B,8] p", SCORES + TOP),
    "one item": ("int64[B,1] y", SCORES + "v, p = TopK(s, one) y = Gather(ids, p)"),
    "smallest": ("int64[B,8] y", SCORES + "n = Neg(s) v, p = TopK<largest=0>(n, k) y = Gather(ids, p)"),
    "unsorted": ("int64[B,8] y", SCORES + "v, p = TopK<sorted=0>(s, k) y = Gather(ids, p)"),
    "other axis": (
        "int64[8,B] y", SCORES + "t = Transpose<perm=[1,0]>(s) v, p = TopK<axis=0>(t, k) y = Gather(ids, p)",
    ),
    "whole ranking": ("int64[B,200] y", SCORES + "v, p = TopK(s, all) y = Gather(ids, p)"),
    "k is an input": ("int64[B,K] y", SCORES + "v, p = TopK(s, n) y = Gather(ids, p)"),
    "ids of 32 bits": ("int32[B,8] y", SCORES + TOP + "y = Gather(ids32, p)"),
    "names": ("string[B,8] y", SCORES + TOP + "y = Gather(names, p)"),
    "float ids": ("float[B,8] y", SCORES + TOP + "i = Gather(ids, p) y = Cast<to=1>(i)"),
    "arithmetic": ("int64[B,8] y", SCORES + TOP + "i = Add(p, base) y = Mul(i, base)"),
    "flat": ("int64[M] y", SCORES + TOP + "i = Gather(ids, p) y = Reshape(i, shape)"),
    "GatherND": ("int64[B,8] y", SCORES + TOP + "i = Unsqueeze(p, last) y = GatherND(ids, i)"),
    "ArgMax": ("int64[B] y", SCORES + "p = ArgMax<axis=1,keepdims=0>(s) y = Gather(ids, p)"),
    "ArgMax keeps the axis": ("int64[B,1] y", SCORES + "y = ArgMax<axis=-1>(s)"),
    "last ArgMin": ("int64[B] y", SCORES + "y = ArgMin<axis=1,keepdims=0,select_last_index=1>(s)"),
    "softmax": ("float[B,8] v, int64[B,8] y", SCORES + "m = Softmax(s) v, p = TopK(m, k) y = Gather(ids, p)"),
    "cosine": (
        "int64[B,8] y",
        TOWER + "l = ReduceL2(q, axis1) d = Div(q, l) s = MatMul(d, items)" + TOP + "y = Gather(ids, p)",
    ),
    "distance": (
        "int64[B,8] y",
        SCORES + "a = Mul(q, q) b = ReduceSum(a, axis1) c = Mul(s, two) d = Sub(b, c) e = Add(d, norms) "
        "v, p = TopK<largest=0>(e, k) y = Gather(ids, p)",
    ),
    "masked": (
        "int64[B,8] y", SCORES + "m = Where(allowed, s, never) v, p = TopK(m, k) y = Gather(ids, p)",
    ),
    "masked by a large number": (
        "int64[B,8] y",
        SCORES + "a = Where(allowed, zero, low) m = Add(s, a) v, p = TopK(m, k) y = Gather(ids, p)",
    ),
    "vectors of the chosen": (
        "float[B,8,4] y", SCORES + TOP + "e = Gather(vectors, p) y = MatMul(e, w3)",
    ),
    "chosen twice": (
        "int64[B,1] y, int64[B,8] p",
        SCORES + TOP + "a, i = TopK(v, one) y = GatherElements<axis=1>(p, i)",
    ),
    "two heads": (
        "int64[B,8] y, string[B,8] z",
        SCORES + TOP + "y = Gather(ids, p) t = MatMul(q, again) w, x = TopK(t, k) z = Gather(names, x)",
    ),
    "residual codes": (
        "int64[B] c, int64[B] e, float[B,24] y",
        TOWER + "a = MatMul(q, codes) c = ArgMax<axis=1,keepdims=0>(a) g = Gather(book, c) o = Sub(q, g) "
        "b = MatMul(o, codes) e = ArgMax<axis=1,keepdims=0>(b) f = Gather(book, e) j = Add(g, f) "
        "t = Transpose<perm=[1,0]>(w2) y = MatMul(j, t)",
    ),
}  # fmt: skip
REQUESTS = {"uid": RNG.integers(0, USERS, BATCH), "n": np.array([K])}


def write(path: Path, head: str, **changed: np.ndarray) -> Path:
    outputs, nodes = HEADS[head]
    inputs = "int64[B] uid" + (", int64[1] n" if "(s, n)" in nodes else "")
    constants = {n: a for n, a in {**CONSTANTS, **changed}.items() if f"{n}," in nodes or f"{n})" in nodes}
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 18]> m ({inputs}) => ({outputs}) {{ {nodes} }}'
    )
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, n) for n, a in constants.items())
    onnx.save(model, path)
    return path


def check(
    program: cimc.Program, model: Path, mode: Any, change: Any = None, bound: Bound | None = None
) -> Check:
    """``--check``, of outputs that ``change`` may spoil."""
    bound, recorder = bound or Bound(), Recorder()
    outputs = program.run(REQUESTS, mode, choices=recorder).outputs
    if change is not None:
        outputs = {name: change(name, value) for name, value in outputs.items()}
    reference, _ = follow(model, REQUESTS, list(outputs), recorder.found, bound)
    return check_choices_and_outputs(reference, outputs, bound)


def compiled(model: Path) -> cimc.Program:
    return cimc.compile(model, calib=REQUESTS)


def ids(head: str) -> set[str]:
    """Outputs that are no vectors and no scores."""
    return {"positions and values": {"p"}, "residual codes": {"c", "e"}, "vectors of the chosen": set()}.get(
        head, {"y", "z", "p"}
    )


SPOILED = {
    "shuffled": lambda a: RNG.permutation(a.ravel()).reshape(a.shape),
    "constant": lambda a: np.full_like(a, a.ravel()[0]),
    "of another row": lambda a: np.roll(a, 1, axis=a.shape.index(BATCH) if BATCH in a.shape else 0),
    "of the next": lambda a: np.roll(a, 1 if a.ndim < 2 else K, axis=-1) if a.dtype.kind in "UO" else a + 1,
}


@pytest.mark.parametrize("head", HEADS)
def test_a_healthy_head_passes_and_wrong_ids_do_not(head: str, tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx", head)
    program = compiled(model)
    for mode in ("exact", "adc"):
        found = check(program, model, mode)
        assert found.passed, found.failures
        assert found.choices
        assert not found.notes
        assert all(c.recall > 0.7 for c in found.choices)
        assert {name for c in found.choices for name in c.outputs} == {o.name for o in found.outputs}
    for way, spoil in SPOILED.items():
        for name in (o.name for o in found.outputs):

            def change(at: str, value: np.ndarray, name: str = name, spoil: Any = spoil) -> np.ndarray:
                return spoil(value) if at == name else value

            spoiled = change(name, program.run(REQUESTS, "adc").outputs[name])
            if way == "of the next" and name not in ids(head):
                continue
            if not np.array_equal(spoiled, program.run(REQUESTS, "adc").outputs[name]):
                assert not check(program, model, "adc", change).passed, (way, name)


BROKEN = {
    "other items": {"items": floats(DIM, ITEMS)},
    "items shifted by one": {"items": np.roll(CONSTANTS["items"], 1, axis=1)},
    "worst first": {"items": -CONSTANTS["items"]},
    "half of the items": {
        "items": CONSTANTS["items"] * (np.arange(ITEMS) % 2).astype(np.float32),
    },
    "other users": {"users": np.roll(CONSTANTS["users"], 1, axis=0)},
}  # fmt: skip


@pytest.mark.parametrize("way", BROKEN)
@pytest.mark.parametrize("head", ["positions alone", "whole ranking", "ArgMax", "last ArgMin", "names",
                                  "masked by a large number", "masked", "cosine", "distance",
                                  "k is an input"])  # fmt: skip
def test_a_program_with_wrong_scores_does_not_pass(head: str, way: str, tmp_path: Path) -> None:
    program = compiled(write(tmp_path / "broken.onnx", head, **BROKEN[way]))
    found = check(program, write(tmp_path / "m.onnx", head), "exact")
    assert not found.passed
    assert any(c.failures for c in found.choices)


def test_a_program_with_wrong_ids_of_right_items_does_not_pass(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx", "ids of 32 bits")
    for ids in (IDS + 1, np.roll(IDS, 1), np.zeros_like(IDS)):
        program = compiled(write(tmp_path / "broken.onnx", "ids of 32 bits", ids32=ids.astype(np.int32)))
        found = check(program, model, "exact")
        assert not found.passed
        assert not any(c.failures for c in found.choices)


def test_a_program_that_chooses_the_other_end_does_not_pass(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx", "positions alone")
    proto = onnx.load(model)
    top = next(n for n in proto.graph.node if n.op_type == "TopK")
    top.attribute.append(onnx.helper.make_attribute("largest", 0))
    onnx.save(proto, tmp_path / "broken.onnx")
    found = check(compiled(tmp_path / "broken.onnx"), model, "exact")
    assert "not the best of the program's own scores" in "".join(found.choices[0].failures)


def test_near_ties_are_named_with_their_margins(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx", "positions and values")
    (choice,) = check(compiled(model), model, "adc").choices
    assert 0 < choice.near_ties == choice.other
    assert 0 < choice.margin < choice.margin_bound
    assert choice.worst_recall < choice.recall < 1
    assert choice.reordered > 0
    shown = choice.to_json()
    assert shown[f"recall@{K}"] == choice.recall
    assert "recall" not in shown


def test_the_bound_of_the_user_also_judges_scores(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx", "positions alone")
    found = check(compiled(model), model, "adc", bound=Bound.of(80))
    assert "scores: SQNR" in "".join(found.choices[0].failures)
    found = check(compiled(model), model, "adc", bound=replace(Bound(), agreement=0.0, min_sqnr_db=80))
    assert found.passed


def test_a_choice_that_cannot_be_prescribed_is_named(tmp_path: Path) -> None:
    proto = onnx.load(write(tmp_path / "m.onnx", "ids of 32 bits"))
    proto.opset_import[0].version = 10  # has no GatherElements for the values of a TopK
    graph = proto.graph
    graph.output.append(onnx.helper.make_tensor_value_info("v", onnx.TensorProto.FLOAT, ["B", K]))
    onnx.save(proto, tmp_path / "m.onnx")
    found = check(compiled(tmp_path / "m.onnx"), tmp_path / "m.onnx", "adc")
    assert "not prescribed" in "".join(found.notes)
    assert not found.choices
