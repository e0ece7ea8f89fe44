"""The code blocks of docs/mapping.md run, in order, and the strategy registered there works by name."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimc.mapping import PlacementProblem, solve, strategies
from cimc.mapping.assignment.strategy_registry import STRATEGIES

PAGE = Path(__file__).parents[2] / "docs" / "mapping.md"


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    with STRATEGIES.restored():
        yield


def test_the_examples_run() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        names: dict[str, Any] = {"__name__": "docs_mapping"}
        exec(compile(block, str(PAGE), "exec"), names)  # the page is ours
        if "solution" in names:
            assert names["solution"].effort is not None
        if "slots" in names:
            assert names["slots"][4] // 2 == names["slots"][9] // 2
    assert "by_distance" in strategies()
    problem = PlacementProblem(
        np.ones(2), np.ones(2, np.int64), np.array([1.0, 2.0]), np.array([1, 1]), np.arange(2.0)
    )
    assert solve(problem, "by_distance").assignment.tolist() == [1, 0]
