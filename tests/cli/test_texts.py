"""Models that answer with texts, or take them: run, checked, written and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from tests.cli.tiny_files import call

RNG = np.random.default_rng(3)
NAMES = np.array([f"film {i} ☃" for i in range(40)], dtype=object)
HEAD = """<ir_version: 8, opset_import: ["": 18]> m (int64[B] uid) =>
  (float[B,3] scores, string[B,3] titles) {
  u = Gather(users, uid)  s = MatMul(u, items)  scores, p = TopK(s, k)  titles = Gather(names, p) }"""
HASH = """<ir_version: 8, opset_import: ["": 18, "ai.onnx.ml": 3]> m (string[B] user, float[B,8] x) =>
  (float[B,4] y) {
  i = ai.onnx.ml.LabelEncoder<keys_strings=["ann","bob","eve"], values_int64s=[0,1,2], default_int64=3>(user)
  e = Gather(users, i)  t = Add(e, x)  y = MatMul(t, w) }"""


def save(text: str, path: Path, **arrays: np.ndarray) -> Path:
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, n) for n, a in arrays.items())
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A retrieval head that answers with names: model, requests, program."""
    folder = tmp_path_factory.mktemp("texts")
    model = save(
        HEAD, folder / "m.onnx", users=RNG.normal(0, 1, (9, 8)).astype(np.float32), names=NAMES,
        items=RNG.normal(0, 1, (8, 40)).astype(np.float32), k=np.array([3]),
    )  # fmt: skip
    np.savez(folder / "r.npz", uid=RNG.integers(0, 9, 20))
    done = call("compile", model, "--calib", folder / "r.npz", "-o", folder / "p.cimc", "--check-each")
    assert done.code == 0, done.err
    return model, folder / "r.npz", folder / "p.cimc"


@pytest.mark.parametrize("mode", ["exact", "adc"])
def test_texts_are_checked_written_and_read_without_pickle(
    head: tuple[Path, Path, Path], mode: str, tmp_path: Path
) -> None:
    model, requests, program = head
    args = ("run", program, "--inputs", requests, "--mode", mode, "--check", model)
    done = call(*args, "--outputs", tmp_path / "o.npz", "--json")
    assert done.code == 0, done.err
    assert done.json["outputs"]["titles"] == {"dtype": "text", "shape": [20, 3]}
    (choice,) = done.json["check"]["choices"]
    assert choice["outputs"] == ["scores", "titles"]
    assert choice["recall@3"] > 0.9
    assert choice["near_ties"] == choice["other"]
    with np.load(tmp_path / "o.npz", allow_pickle=False) as found:
        assert found["titles"].dtype.kind == "U"
        assert set(found["titles"].ravel()) <= set(NAMES)
    text = call(*args)
    assert text.code == 0
    assert f"recall@3 {choice['recall@3']:.3f} of" in text.out
    assert "recall@k" in call(*args, "--details").out


def test_other_texts_fail(head: tuple[Path, Path, Path], tmp_path: Path) -> None:
    model, requests, program = head
    proto = onnx.load(model)
    names = next(t for t in proto.graph.initializer if t.name == "names")
    names.CopyFrom(onnx.numpy_helper.from_array(np.roll(NAMES, 1), "names"))
    onnx.save(proto, tmp_path / "other.onnx")
    done = call("run", program, "--inputs", requests, "--check", tmp_path / "other.onnx")
    assert done.code == 1
    assert "'titles': 0 % of the elements are equal" in done.err


def test_texts_as_inputs(tmp_path: Path) -> None:
    model = save(
        HASH, tmp_path / "m.onnx", users=RNG.normal(0, 1, (4, 8)).astype(np.float32),
        w=RNG.normal(0, 1, (8, 4)).astype(np.float32),
    )  # fmt: skip
    x = RNG.normal(0, 1, (30, 8)).astype(np.float32)
    np.savez(tmp_path / "r.npz", user=RNG.choice(["ann", "bob", "eve", "?"], 30), x=x)
    done = call("compile", model, "--calib", tmp_path / "r.npz", "-o", tmp_path / "p.cimc")
    assert done.code == 0, done.err
    args = ("run", tmp_path / "p.cimc", "--inputs", tmp_path / "r.npz", "--limit", 7)
    assert call(*args, "--check", model).code == 0
    np.savez(tmp_path / "r.npz", user=np.arange(30), x=x)
    done = call(*args)
    assert done.code == 2
    assert "expected: (tensor(string))" in done.err


def test_a_sequence_is_checked_and_not_written(tmp_path: Path) -> None:
    model = save(
        """<ir_version: 8, opset_import: ["": 18]> m (float[B,8] x) => (seq(float[B,4]) y, float[B,4] z) {
          z = MatMul(x, w)  y = SequenceConstruct(z, z) }""",
        tmp_path / "m.onnx", w=RNG.normal(0, 1, (8, 4)).astype(np.float32),
    )  # fmt: skip
    np.savez(tmp_path / "r.npz", x=RNG.normal(0, 1, (30, 8)).astype(np.float32))
    done = call("compile", model, "--calib", tmp_path / "r.npz", "-o", tmp_path / "p.cimc", "--check-each")
    assert done.code == 0, done.err
    args = ("run", tmp_path / "p.cimc", "--inputs", tmp_path / "r.npz")
    done = call(*args, "--check", model, "--json")
    assert done.code == 0, done.err
    assert done.json["outputs"]["y"] == {"dtype": "sequence", "shape": [2]}
    done = call(*args, "--outputs", tmp_path / "o.npz")
    assert done.code == 2
    assert "'y' is no array" in done.err
