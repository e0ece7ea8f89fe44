"""Lines for the user go to standard error, at once."""

from __future__ import annotations

import pytest

from cimc.support.progress import note


def test_a_note_is_a_line_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    note("half way")
    assert capfd.readouterr() == ("", "half way\n")
