"""Progress of long commands: on a terminal alone, on stderr, with rate and time left."""

from __future__ import annotations

import io
import re
import sys
import time
from typing import Any

import pytest

from cimc.cli import output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with output.progress("requests", "requests") as advance:
        for done in (100, 200, 300):
            time.sleep(0.01)
            advance(done, 1000, "")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    last = [line for line in re.split(r"[\r\n]", shown) if "300/1000" in line][-1]
    assert len(re.findall(r"\d+:\d\d:\d\d", last)) == 2  # spent and left, both known
    assert re.search(r"[1-9][\d,.]* requests/s", last)


def test_nothing_where_nobody_looks(capsys: Any) -> None:
    with output.progress("requests", "requests") as advance:
        advance(1, 2, "")
    assert capsys.readouterr() == ("", "")
