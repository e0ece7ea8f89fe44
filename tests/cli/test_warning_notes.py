"""What becomes of Python's warnings on the command line."""

import warnings

import pytest

from cimc.cli.warning_notes import warnings_as_notes
from cimc.support.jit import KernelCacheWarning


@pytest.mark.parametrize("filters", ["error", "ignore", "always"])
def test_a_lost_cache_is_a_note_whatever_the_filters(
    capsys: pytest.CaptureFixture[str], filters: str
) -> None:
    with warnings.catch_warnings(action=filters), warnings_as_notes():  # type: ignore[call-overload]
        warnings.warn("kernels are not kept", KernelCacheWarning, stacklevel=1)
    assert capsys.readouterr().err == "note: kernels are not kept\n"


def test_warnings_of_others_are_theirs() -> None:
    with pytest.warns(RuntimeWarning, match="of another package") as seen, warnings_as_notes():
        warnings.warn("of another package", RuntimeWarning, stacklevel=1)
    assert len(seen) == 1
    with warnings.catch_warnings(action="error"), warnings_as_notes(), pytest.raises(RuntimeWarning):
        warnings.warn("of another package", RuntimeWarning, stacklevel=1)
