"""Warnings of cimc on the command line: a note like any other, whatever the filters of warnings are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cimc.cli.output import notes
from cimc.support.jit import KernelCacheWarning


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Inside, a :class:`KernelCacheWarning` is a line on standard error, and never an exception.

    It reports a saving that is lost, so ``python -W error`` must not end a command with it.  Other warnings
    are shown as before.
    """
    with warnings.catch_warnings():
        before = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, KernelCacheWarning):
                notes([str(message)])
            else:
                before(message, category, *where, **more)

        warnings.filterwarnings("always", category=KernelCacheWarning)
        warnings.showwarning = show
        yield
