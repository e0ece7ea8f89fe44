"""The machine has a name, cores and libraries."""

from __future__ import annotations

from cimc.study.baseline.cpu_at_hand import cores, cpu_name, load_average, versions


def test_the_machine_is_described() -> None:
    assert cores() >= 1
    assert cpu_name()
    assert load_average() is None or load_average() >= 0  # type: ignore[operator]
    assert {"python", "cimc", "numpy", "numba", "onnx", "onnxruntime", "blas"} == set(versions())
