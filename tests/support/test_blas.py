"""The threads of the BLAS: one inside, as before outside, whoever leaves first."""

import numpy as np  # noqa: F401  (loads the BLAS)
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from cimc.support.blas import one_thread
from cimc.transforms.pipeline import Pipeline
from tests.build import mlp


def threads() -> list[int]:
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


@pytest.fixture
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        if threads() != [2] * len(threads()) or not threads():
            pytest.skip("numpy has no BLAS whose threads can be set")
        yield


def test_one_thread_inside_and_two_outside(two_threads: None) -> None:
    with one_thread():
        assert set(threads()) == {1}
    assert set(threads()) == {2}
    with pytest.raises(ValueError), one_thread():
        raise ValueError
    assert set(threads()) == {2}


def test_holders_may_leave_in_any_order(two_threads: None) -> None:
    first, second = one_thread(), one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(threads()) == {1}
    second.__exit__(None, None, None)
    assert set(threads()) == {2}


def test_adc_steps_are_chosen_with_one_thread(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import cimc.transforms.partition.adc_steps as ranges

    seen: list[int] = []
    inner = ranges.column_sums

    def watched(*args):
        seen.extend(threads())
        return inner(*args)

    monkeypatch.setattr(ranges, "column_sums", watched)
    made, ctx = mlp((40, 30, 3))
    Pipeline.parse("quantize,shard,choose-adc-steps").run(made, ctx)
    assert set(seen) == {1}
    assert set(threads()) == {2}
