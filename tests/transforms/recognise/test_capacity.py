"""What the chip has no place for goes back before anything is quantised; wide layers come in parts."""

from __future__ import annotations

import pytest

from cimc.target.load_target import load_target
from cimc.transforms.pipeline import Pipeline
from tests.transforms.recognise.fusing import Arrays, Fused, floats, imported, model


def demoted(text: str, weights: Arrays, scratchpad: int, share: float = 1.0) -> Fused:
    proto = model(text, weights)
    module, ctx = imported(proto)
    ctx.target = load_target(f"tsinghua28{{tile.scratchpad_bytes={scratchpad}}}")
    Pipeline.parse(f"plan-offload,recognise,demote{{scratchpad={share}}},outline-host").run(module, ctx)
    return Fused(proto, module, ctx)


WIDE = "m (float[B, 300] x) => (float[] y) { h = MatMul(x, w)\n y = Add(h, b) }"


@pytest.mark.parametrize(("inputs", "units"), [(300, 20), (20, 300), (300, 300), (20, 20)])
def test_a_wide_layer_is_a_sum_of_layers_side_by_side(inputs: int, units: int) -> None:
    weights = {"w": floats(inputs, units), "b": floats(units, seed=1)}
    found = demoted(WIDE.replace("300", str(inputs)), weights, 2048)  # 128 inputs or units a part
    found.check({"x": floats(3, inputs, seed=2)}, 1e-3)
    rows, columns = (1 if n <= 256 else 3 for n in (inputs, units))
    assert found.reasons() == {}
    assert found.counts()["linear"] == rows * columns
    biased = [op for op in found.ops("rec.linear") if op.bias is not None]  # type: ignore[attr-defined]
    assert len(biased) == columns  # once for every unit


def test_what_fits_no_scratchpad_says_how_much_it_takes() -> None:
    text = "m (float[B, 64] x) => (float[] y) { h = MatMul(x, w)\n y = Relu(h) }"
    found = demoted(text, {"w": floats(64, 64)}, 1 << 16, 0.0005)  # 32 bytes
    found.check({"x": floats(2, 64)}, 1e-3)
    reason = found.reasons()["MatMul"]
    assert reason.startswith("its values take 512 bytes per request and cannot be cut to fit a scratchpad")


def test_values_of_unknown_size_stay_with_the_host() -> None:
    text = "m (float[B, N, 4] x) => (float[] y) { h = MatMul(x, w)\n y = Relu(h) }"
    found = demoted(text, {"w": floats(4, 3)}, 1 << 16)
    found.check({"x": floats(2, 5, 4)}, 1e-4)
    assert set(found.reasons()) == {"MatMul", "Relu"}


def test_a_share_of_the_scratchpad_is_counted_on() -> None:
    text = "m (float[B, 4, 64] x) => (float[] y) { h = MatMul(x, w)\n y = Relu(h) }"
    weights = {"w": floats(64, 64)}
    assert demoted(text, weights, 1 << 16, 1.0).reasons() == {}
    assert demoted(text, weights, 1 << 16, 0.0).reasons()
