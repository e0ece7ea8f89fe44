"""``cimc accuracy``: what is refused before anything is compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands.small_files import refused, write_model, write_requests


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--recall-at", "1"), "accuracy.bad-retrieval"),
        (("--query", "y"), "accuracy.bad-retrieval"),
        (("--sweep", "adc_bits"), "accuracy.bad-sweep"),
        (("--sweep", "adc_bits=4,4"), "accuracy.bad-sweep"),
        (("--plot", "a.svg", "--metric", "nosuch"), "accuracy.no-metric"),
        (("--seeds", "0"), "cli.usage"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: tuple[str, ...], code: str) -> None:
    requests = write_requests(tmp_path, x=np.zeros((3, 4), np.float32))
    assert refused("accuracy", write_model(tmp_path), "--inputs", requests, *options) == code
