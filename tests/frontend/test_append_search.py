"""A corpus behind a tower: from the user's features to scores and ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cimc
from cimc.errors import RequestError
from cimc.frontend.append_search import CorpusFile, normalised, squares
from tests.cli.tiny_files import call
from tests.transforms.recognise.fusing import model

DIM, ITEMS = 16, 400
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(0, 1, (ITEMS, DIM)).astype(np.float32) * RNG.uniform(0.5, 2, (ITEMS, 1)).astype(
    np.float32
)
VECTORS[7] = 0
WEIGHT = RNG.normal(0, 0.3, (8, DIM)).astype(np.float32)
FEATURES = RNG.normal(0, 1, (128, 8)).astype(np.float32)


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    """``user_vec`` of eight features, beside an output that nobody asks for."""
    outputs = f"float[B, {DIM}] user_vec, float[B, 8] other"
    text = f"m (float[B, 8] f) => ({outputs}) {{ user_vec = MatMul(f, w)\n other = Neg(f) }}"
    path = tmp_path / "two_tower.onnx"
    path.write_bytes(model(text, {"w": WEIGHT}).SerializeToString())
    return path


def scores(metric: str, features: Any = FEATURES) -> Any:
    """All scores in float64, better ones larger."""
    x, c = features.astype(np.float64) @ WEIGHT, VECTORS.astype(np.float64)
    if metric == "l2":
        return -((x[:, None] - c[None]) ** 2).sum(axis=2)
    if metric == "cosine":
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        c = c / np.maximum(np.linalg.norm(c, axis=1, keepdims=True), 1e-30)
    return x @ c.T


@pytest.mark.parametrize("metric", ["ip", "cosine", "l2"])
@pytest.mark.parametrize("named", [False, True])
def test_the_best_items_by_every_metric(tower: Path, metric: str, named: bool) -> None:
    names = np.arange(ITEMS)[::-1] + 10**12 if named else None
    corpus = CorpusFile(VECTORS, 10, metric, names)
    program = cimc.compile(tower, calib={"f": FEATURES[64:]}, outputs=["user_vec"], corpus=corpus)
    assert "corpus" in [m.kind for m in program.data.matrices]
    found, ids = program.search(FEATURES[:64], mode="exact")
    assert (found.dtype, ids.dtype, found.shape) == (np.float32, np.int64, (64, 10))
    wanted = scores(metric, FEATURES[:64])
    positions = ids if names is None else ITEMS - 1 - (ids - 10**12)
    best = np.argsort(-wanted, axis=1)[:, :10]
    overlap = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(best, positions, strict=True)])
    assert overlap > 0.93
    true = np.take_along_axis(wanted, positions, axis=1) * (-1 if metric == "l2" else 1)
    assert np.sqrt(np.mean((found - true) ** 2)) < 0.05 * np.sqrt(np.mean(true**2))
    steps = np.diff(found, axis=1)
    assert (steps >= 0).all() if metric == "l2" else (steps <= 0).all()


def test_one_query_and_fewer_items(tower: Path) -> None:
    program = cimc.compile(tower, calib={"f": FEATURES}, outputs=["user_vec"], corpus=CorpusFile(VECTORS, 10))
    many, ids = program.search({"f": FEATURES[:5]})
    one, same = program.search(FEATURES[0], k=3)
    assert one.shape == (1, 3)
    np.testing.assert_array_equal(one[0], many[0, :3])
    np.testing.assert_array_equal(same[0], ids[0, :3])
    with pytest.raises(RequestError, match="keeps the best 10") as caught:
        program.search(FEATURES, k=11)
    assert caught.value.code == "corpus.too-many"
    with pytest.raises(RequestError, match=r"k=1\.5"):
        program.search(FEATURES, k=1.5)  # type: ignore[arg-type]
    plain = cimc.compile(tower, calib={"f": FEATURES}, outputs=["user_vec"])
    with pytest.raises(RequestError, match="no scores and ids"):
        plain.search(FEATURES)


@pytest.mark.parametrize(
    ("corpus", "why"),
    [
        (CorpusFile(VECTORS, 401), "best 401 of 400"),
        (CorpusFile(VECTORS, 0), "best 0 of 400"),
        (CorpusFile(VECTORS, 5, "hamming"), "metric 'hamming'"),
        (CorpusFile(VECTORS.astype(np.int8), 5), "items are float"),
        (CorpusFile(VECTORS, 5, "ip", np.arange(399)), "ids are 400 integers"),
        (CorpusFile(VECTORS[:, :8], 5), "vectors of 8 numbers"),
        (CorpusFile(VECTORS.astype(np.float64) * 1e300, 5), "too large for float32"),
        (CorpusFile(VECTORS.astype(np.float64) * 1e300, 5, "cosine"), "too large for float32"),
        (VECTORS, "a corpus is a CorpusFile, not ndarray"),
        (CorpusFile(VECTORS.tolist(), 5), "items are a numpy array, not list"),
        (CorpusFile(np.ma.array(VECTORS), 5), "items are a numpy array, not MaskedArray"),
        (CorpusFile(VECTORS, 5, "ip", list(range(400))), "ids are a numpy array, not list"),  # type: ignore[arg-type]
        (CorpusFile(VECTORS, 5, "ip", np.arange(400, dtype=np.uint64) + 2**63), "too large"),  # type: ignore[arg-type]
        (CorpusFile(VECTORS, 5.0), "k=5.0 is no whole number"),  # type: ignore[arg-type]
        (CorpusFile(VECTORS, 5, ["ip"]), "is none of"),  # type: ignore[arg-type]
        (CorpusFile(VECTORS * np.float32(1e20), 5, "l2"), "too long for squared distances"),
    ],
)
def test_corpora_that_do_not_fit(tower: Path, corpus: CorpusFile, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        cimc.compile(tower, calib={"f": FEATURES}, outputs=["user_vec"], corpus=corpus)
    assert caught.value.code == "corpus.bad"


def test_a_model_of_several_outputs_needs_a_choice(tower: Path) -> None:
    with pytest.raises(RequestError, match="gives 2 outputs"):
        cimc.compile(tower, calib={"f": FEATURES}, corpus=CorpusFile(VECTORS, 5))


def test_a_query_holds_floats(tmp_path: Path) -> None:
    path = tmp_path / "whole.onnx"
    text = f"m (float[B, 8] f) => (int64[B, {DIM}] u) {{ v = MatMul(f, w)\n u = Cast<to = 7>(v) }}"
    path.write_bytes(model(text, {"w": WEIGHT}).SerializeToString())
    with pytest.raises(RequestError, match="holds no floats"):
        cimc.compile(path, calib={"f": FEATURES}, corpus=CorpusFile(VECTORS, 5))


@pytest.mark.parametrize("option", ["--top-k=5", "--metric=l2"])
def test_how_to_search_needs_what_is_searched(tower: Path, tmp_path: Path, option: str) -> None:
    failed = call("compile", str(tower), "-o", str(tmp_path / "o.cimc"), option)
    assert failed.code == 2
    assert "--corpus is searched, which is not given" in failed.err


def test_from_the_command_line(tower: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "items.npy", VECTORS)
    np.save(tmp_path / "ids.npy", np.arange(ITEMS) + 5)
    np.savez(tmp_path / "c.npz", f=FEATURES)
    words = [str(tower), "-o", str(tmp_path / "feed.cimc"), "--select", "user_vec", "--top-k", "10"]
    words += ["--corpus", str(tmp_path / "items.npy"), "--ids", str(tmp_path / "ids.npy")]
    assert call("compile", *words, "--calib", str(tmp_path / "c.npz")).code == 0
    found, ids = cimc.Program.load(tmp_path / "feed.cimc").search(FEATURES, mode="exact")
    assert found.shape == ids.shape == (128, 10)
    assert ids.min() >= 5
    failed = call("compile", *words, "--metric", "hamming")
    assert failed.code == 2
    assert "metric 'hamming'" in failed.err


@pytest.mark.parametrize("content", ["text", "archive", "damaged", "nothing"])
@pytest.mark.parametrize("what", ["items", "ids"])
def test_unreadable_files_are_named(tmp_path: Path, content: str, what: str) -> None:
    good, bad = tmp_path / "good.npy", tmp_path / "bad.npy"
    np.save(good, VECTORS)
    np.savez(tmp_path / "bad.npz", a=VECTORS)
    archive = (tmp_path / "bad.npz").read_bytes()
    texts = {"text": b"no array", "archive": archive, "damaged": archive[:400], "nothing": b""}
    bad.write_bytes(texts[content])
    with pytest.raises(RequestError) as caught:
        CorpusFile.load(bad if what == "items" else good, 5, ids=bad if what == "ids" else None)
    assert caught.value.code == "corpus.unreadable"
    assert "allow_pickle" not in caught.value.message
    assert caught.value.location is not None
    assert caught.value.location.file == str(bad)


def test_lengths_are_taken_block_by_block() -> None:
    np.testing.assert_allclose(squares(VECTORS), (VECTORS.astype(np.float64) ** 2).sum(axis=1))
    lengths = np.linalg.norm(normalised(VECTORS), axis=1)
    assert lengths[7] == 0
    np.testing.assert_allclose(np.delete(lengths, 7), 1, rtol=1e-6)
