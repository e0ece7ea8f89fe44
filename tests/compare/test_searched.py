"""Searches on the chip are compared by overlap and scores, as choices on the host are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cimc
from cimc.compare.check import Bound
from cimc.compare.following import check_choices_and_outputs, follow
from cimc.host.choices import Recorder
from cimc.sim.kernels.searches.choices_of_searches import searched_choices
from cimc.transforms.codegen.searches_of import searched
from tests.transforms.recognise.fusing import model

ITEMS, DIM = 300, 16
PAIR = "float[B, 8] v, int64[B, 8] i"

FORMS = {
    "product": ("s = MatMul(x, c)\n v, i = TopK(s, k)", PAIR),
    "ids": ("s = MatMul(x, c)\n v, p = TopK(s, k)\n i = Gather(n, p)", PAIR),
    "ids alone": ("s = MatMul(x, c)\n v, p = TopK(s, k)\n i = Gather(n, p)", "int64[B, 8] i"),
    "bias": ("p = MatMul(x, c)\n s = Add(p, b)\n v, i = TopK(s, k)", PAIR),
    "smallest": ("p = MatMul(x, c)\n s = Mul(p, t)\n v, i = TopK<largest = 0>(s, k)", PAIR),
    "sigmoid": ("p = MatMul(x, c)\n s = Sigmoid(p)\n v, i = TopK(s, k)", PAIR),
    "softmax": ("p = MatMul(x, c)\n s = Softmax(p)\n v, i = TopK(s, k)", "int64[B, 8] i"),
    "best": ("s = MatMul(x, c)\n i = ArgMax<axis = 1, keepdims = 0>(s)", "int64[B] i"),
    "worst": ("s = MatMul(x, c)\n i = ArgMin<axis = 1>(s)", "int64[B, 1] i"),
    "axis": ("u = Unsqueeze(x, a)\n s = MatMul(u, c)\n v, i = TopK(s, k)",
             "float[B, 1, 8] v, int64[B, 1, 8] i"),
}  # fmt: skip


def compiled(form: str, folder: Path) -> tuple[cimc.Program, Path, dict[str, Any]]:
    body, out = FORMS[form]
    rng = np.random.default_rng(1)
    weights = {
        "c": rng.normal(0, 1, (DIM, ITEMS)).astype(np.float32),
        "b": rng.normal(0, 1, ITEMS).astype(np.float32),
        "n": rng.permutation(ITEMS).astype(np.int64) + 10**9,
        "k": np.array([8], np.int64),
        "t": np.float32(0.5),
        "a": np.array([1], np.int64),
    }
    path = folder / "model.onnx"
    used = {name: w for name, w in weights.items() if f"{name})" in body or f"{name}," in body}
    path.write_bytes(model(f"m (float[B, {DIM}] x) => ({out}) {{ {body} }}", used).SerializeToString())
    queries = {"x": rng.normal(0, 1, (64, DIM)).astype(np.float32)}
    program = cimc.compile(path, calib={"x": rng.normal(0, 1, (64, DIM)).astype(np.float32)})
    return program, path, queries


@pytest.mark.parametrize("form", FORMS)
def test_forms_pass_the_check_with_the_corpus_on_arrays(form: str, tmp_path: Path) -> None:
    program, path, queries = compiled(form, tmp_path)
    assert [m.kind for m in program.data.matrices] == ["corpus"]
    recorder, bound = Recorder(), Bound()
    outputs = program.run(queries, choices=recorder).outputs
    (choice,) = recorder.found
    assert choice.scores.reshape(64, -1).shape == (64, ITEMS)
    reference, _ = follow(path, queries, list(outputs), recorder.found, bound)
    check = check_choices_and_outputs(reference, outputs, bound)
    assert check.passed, check
    (judged,) = check.choices
    assert judged.recall > 0.9
    assert judged.sqnr_db > 25


def test_wrong_ids_fail(tmp_path: Path) -> None:
    program, path, queries = compiled("product", tmp_path)
    recorder, bound = Recorder(), Bound()
    outputs = program.run(queries, choices=recorder).outputs
    recorder.found[0].ids[:, 0] = (recorder.found[0].ids[:, 0] + 150) % ITEMS
    reference, _ = follow(path, queries, list(outputs), recorder.found, bound)
    assert not check_choices_and_outputs(reference, outputs, bound).passed


def test_a_program_says_what_it_searches(tmp_path: Path) -> None:
    program, _, _ = compiled("smallest", tmp_path)
    found = program.remarks.corpus
    assert found is not None
    (search,) = found.searches
    assert (search.op, search.corpus, search.items, search.k) == ("TopK", "c", ITEMS, 8)
    assert search.scale < 0
    assert callable(searched)
    scores = np.zeros((2, ITEMS), np.float32)
    (choice,) = searched_choices(program.data, {"c": scores}, {search.ids: np.zeros((2, 8), np.int64)})
    assert choice.chooser.name == search.node
