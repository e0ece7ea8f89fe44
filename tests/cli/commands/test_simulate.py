"""``cimc simulate``: how requests come, and what goes together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands.small_files import refused, write_program, write_requests
from tests.cli.tiny_files import call

X = np.zeros((3, 640), np.float32)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--rate", "10", "--in-flight", "2"), "cli.usage"),
        (("--arrivals", "poisson"), "cli.usage"),
        (("--rate", "0"), "cli.usage"),
        (("--link-buffer", "0"), "cli.usage"),
        (("--plot", "load.txt"), "report.bad-figure"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: tuple[str, ...], code: str) -> None:
    program, requests = write_program(tmp_path), write_requests(tmp_path, x=X)
    assert refused("simulate", program, "--inputs", requests, *options) == code


@pytest.mark.parametrize(
    ("options", "kind"),
    [((), "closed"), (("--rate", "1000"), "fixed"), (("--rate", "1000", "--arrivals", "poisson"), "poisson")],
)
def test_requests_come_as_asked(tmp_path: Path, options: tuple[str, ...], kind: str) -> None:
    program, requests = write_program(tmp_path), write_requests(tmp_path, x=X)
    done = call("simulate", program, "--inputs", requests, *options, "--json")
    assert done.code == 0, done.err
    assert f'"{kind}"' in done.out
