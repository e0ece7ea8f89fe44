"""Targets with changes in braces."""

from __future__ import annotations

import pytest

from cimc.errors import TargetError
from cimc.target.load_target import load_target
from cimc.target.overrides import with_overrides


def test_braces_change_fields() -> None:
    target = load_target("tsinghua28{array.adc_bits=6 system.chips=9 chip.mesh=4x2 array.row_pj=1.5}")
    assert (target.array.adc_bits, target.system.chips, target.chip.mesh) == (6, 9, (4, 2))
    assert float(target.array.row_pj) == 1.5
    assert target.array.row_pj.basis == "assumed"
    changes = {"array.adc_bits": 6, "system.chips": 9, "chip.mesh": (4, 2), "array.row_pj": 1.5}
    assert target == with_overrides(load_target("tsinghua28"), changes)
    assert target.digest != load_target("tsinghua28").digest


def test_an_operating_point_comes_first() -> None:
    point = next(p for p in load_target("neurram130").operating_points if not p.default)
    target = load_target(f"neurram130{{point={point.name}}}")
    assert target.array.adc_bits == point.adc_bits
    changed = load_target(f"neurram130{{tile.arrays=2 point={point.name}}}")
    assert (changed.array.dac_bits, changed.tile.arrays) == (point.dac_bits, 2)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("tsinghua28{}", "target.variant"),
        ("tsinghua28{array.adc_bits}", "target.variant"),
        ("tsinghua28{array.adc_bits=6 array.adc_bits=7}", "target.variant"),
        ("{array.adc_bits=6}", "target.variant"),
        ("tsinghua28}", "target.variant"),
        ("tsinghua28{array.adc_bit=6}", "target.invalid"),
        ("tsinghua28{array.adc_bits=many}", "target.invalid"),
        ("tsinghua28{array.gate_unused_adc=1}", "target.invalid"),
        ("tsinghua28{point=nowhere}", "target.unknown"),
        ("nowhere{array.adc_bits=6}", "target.unknown"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, code: str) -> None:
    with pytest.raises(TargetError) as refused:
        load_target(text)
    assert refused.value.code == code
