"""One tower of a two-tower file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cimc
from cimc.errors import ModelError

MODEL = Path(__file__).parents[2] / "models" / "twotower_small.onnx"


@pytest.fixture(scope="module")
def requests() -> dict[str, np.ndarray]:
    with np.load(MODEL.with_suffix(".requests.npz")) as arrays:
        return {k: v for k, v in arrays.items() if k != "labels"}


def test_a_tower_alone_gives_what_it_gives_in_the_whole(requests: dict[str, np.ndarray]) -> None:
    whole = cimc.compile(MODEL, calib=requests)
    expected = whole.run(requests, mode="exact").outputs
    for name in ("user_vec", "item_vec"):
        tower = cimc.compile(MODEL, calib=requests, outputs=[name])
        inputs = [n for n, _, _ in tower.data.header.inputs]
        assert 0 < len(inputs) < len(whole.data.header.inputs)
        got = tower.run({n: requests[n] for n in inputs}, mode="exact").outputs
        assert set(got) == {name}
        np.testing.assert_array_equal(got[name], expected[name])
        assert tower.data.instruction_count < whole.data.instruction_count
        assert any(name in note for note in tower.notes)


def test_a_tower_needs_no_requests_for_the_other(requests: dict[str, np.ndarray]) -> None:
    tower = cimc.compile(MODEL, calib=requests, outputs=["item_vec"])
    needed = {n: requests[n] for n, _, _ in tower.data.header.inputs}
    again = cimc.compile(MODEL, calib=needed, outputs=["item_vec"])
    assert again.run(needed).outputs.keys() == {"item_vec"}
    assert cimc.compile(MODEL, outputs=["item_vec"]).data.header.inputs == tower.data.header.inputs


def test_unknown_outputs_are_named(requests: dict[str, np.ndarray]) -> None:
    with pytest.raises(ModelError, match="item_vec") as error:
        cimc.compile(MODEL, calib=requests, outputs=["nope"])
    assert error.value.code == "frontend.unknown-output"
