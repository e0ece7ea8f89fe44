import subprocess
import sys

import numpy as np
import pytest

from cimc.errors import PassError
from cimc.mapping import PlacementProblem, evaluate


def build(**changes: object) -> PlacementProblem:
    fields: dict[str, object] = {
        "load": [1.0, 2.0],
        "size": [1, 2],
        "traffic": [8.0, 16.0],
        "capacity": [2, 3],
        "distance": [1.0, 4.0],
    }
    return PlacementProblem(**(fields | changes))  # type: ignore[arg-type]


def test_arrays_are_converted_copied_and_read_only() -> None:
    load = np.array([1, 2], dtype=np.int32)
    problem = build(load=load)
    load[0] = 9
    assert problem.load.dtype == np.float64
    assert problem.size.dtype == np.int64
    assert problem.load.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        problem.load[0] = 5.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"load": [[1.0, 2.0]]}, r"`load` must have one dimension, it has shape \(1, 2\)"),
        ({"load": [1.0, np.nan]}, r"`load\[1\]` is nan"),
        ({"traffic": [-1.0, 0.0]}, r"`traffic\[0\]` is -1.0"),
        ({"distance": [np.inf, 0.0]}, r"`distance\[0\]` is inf"),
        ({"size": [0, 1]}, r"`size\[0\]` is 0"),
        ({"size": [1.5, 1.0]}, r"`size` must hold integers, its dtype is float64"),
        ({"size": [1]}, r"`size` has 1 entries, `load` has 2"),
        ({"capacity": [-1, 2]}, r"`capacity\[0\]` is -1"),
        ({"capacity": np.array([2**63, 1], dtype=np.uint64)}, r"`capacity\[0\]` is 9223372036854775808"),
        ({"capacity": [2**61, 2**61]}, r"the sum of `capacity` exceeds"),
        ({"distance": [1.0]}, r"`distance` has 1 entries, `capacity` has 2"),
        ({"capacity": [], "distance": []}, "there is no bin"),
        ({"load": ["a", "b"]}, r"`load` must hold numbers"),
        ({"labels": ("one",)}, r"`labels` has 1 entries, `load` has 2"),
    ],
)
def test_bad_input_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(PassError, match=message) as caught:
        build(**changes)
    assert caught.value.code == "mapping.bad-problem"


def test_evaluation_by_hand() -> None:
    found = evaluate(build(), np.array([1, 1]))
    assert found.bottleneck == 3.0
    assert found.bottleneck_bound == 2.0  # the heavier item alone
    assert found.gap == pytest.approx(0.5)
    assert found.hops == 8.0 * 4 + 16.0 * 4
    # Both have 8 bits per unit: two of the three units at distance 1, one at distance 4.
    assert found.hops_bound == 8.0 * (1 + 1 + 4)
    assert found.utilisation == pytest.approx(3 / 5)
    assert (found.load_min, found.load_mean, found.load_std) == (0.0, 1.5, 1.5)
    assert found.bins_used == 1
    assert found.violations == ()


def test_violations_are_listed() -> None:
    problem = build(labels=("table a", "table b"), item_unit="columns", resource="one array")
    assert evaluate(problem, np.array([0, 0])).violations == ("bin 0 holds 3 columns of one array, it has 2",)
    assert evaluate(problem, np.array([-1, 2])).violations == (
        "table a is on no bin",
        "table b is on no bin",
    )


def test_long_lists_of_violations_end_with_a_count() -> None:
    problem = PlacementProblem(
        load=np.ones(20),
        size=np.ones(20, dtype=np.int64),
        traffic=np.ones(20),
        capacity=np.array([20]),
        distance=np.zeros(1),
    )
    assert evaluate(problem, np.full(20, 7)).violations[-1] == "and 12 more items are on no bin"


@pytest.mark.parametrize("assignment", [np.zeros(3, dtype=np.int64), np.zeros(2)])
def test_assignments_of_the_wrong_shape_or_dtype_are_refused(assignment: np.ndarray) -> None:
    with pytest.raises(PassError) as caught:
        evaluate(build(), assignment)
    assert caught.value.code == "mapping.bad-assignment"


def test_importing_the_package_loads_no_solver() -> None:
    code = "import sys, cimc.mapping; print([m for m in ('ortools', 'onnx', 'xdsl') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
