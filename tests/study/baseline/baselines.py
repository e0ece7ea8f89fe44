"""Baselines made by hand."""

from __future__ import annotations

from dataclasses import replace

from cimc.study.baseline.records import FUSED, INT8, ORT, Baseline, LeftOut, Row

ROW = Row(ORT, "recorded", 16, 1, 1, 1000.0, 1100.0, 900.0, 1100.0, 0.016, 0.02, 50, 5.0, 200.0)
ROWS = (
    ROW,
    replace(ROW, batch=256, requests_per_s=4000.0, watts=40.0, requests_per_joule=100.0, latency_p99_s=0.5),
    replace(ROW, ids="hot", requests_per_s=9e9, requests_per_joule=9e9),
    replace(ROW, engine=FUSED, requests_per_s=20_000.0, requests_per_joule=4000.0, latency_p99_s=0.001),
)
BASELINE = Baseline(
    "m.onnx", "a" * 64, ("x",), 32, "b" * 64, "a CPU", 2, {"python": "3"}, 0.1, "stated",
    "5 W a core, stated",
    "no counters", 5.0, 10.0, 5, ROWS, (LeftOut(INT8, "not installed"),), 1e-7, 0.02, "by hand",
)  # fmt: skip
