"""SIGINT, SIGTERM and SIGHUP end a command the same way: blocks are left, so temporary files go.

The first signal raises a ``KeyboardInterrupt`` in the main thread.  A second one, or five seconds in which
the process has not ended (native code that does not return, threads that finish their work), ends it at
once, after its temporary files are removed.  Child processes end with this one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from types import FrameType

from cimc.support.io import files

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 5.0  # seconds


class _Ended(KeyboardInterrupt):
    """A signal came.

    Not ``KeyboardInterrupt`` itself: once that leaves an ``exec`` of text (a dataclass that is being made
    while modules load), ``python -m cimc`` ends with 130 whatever it is told to end with.
    """


class Signals:
    """The signal that came in first, if any."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """As shells report a process that the signal ended."""
        return 128 + (self.first or signal.SIGINT)

    @property
    def name(self) -> str:
        """The signal, as a user knows it."""
        return "Ctrl-C" if self.first in (None, signal.SIGINT) else signal.Signals(self.first).name

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler of all signals that end a command."""
        if self.first is not None:
            _end_now(number)
        self.first = signal.Signals(number)
        raise _Ended


def install(found: Signals) -> None:
    """Handle signals for the rest of this process; one that is ignored already (``nohup``) stays so.

    The wake-up descriptor is written when a signal comes, also in the middle of native code, where no
    handler of Python runs; a thread that reads it sees to it that the process ends.
    """
    for number in _ENDING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, found.handle)
    try:
        read, write = os.pipe()
    except OSError:  # no descriptors left: whatever needs one will say so
        return
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(read,), daemon=True).start()


def _watch(read: int) -> None:
    number = os.read(read, 1)[0]
    time.sleep(_GRACE)
    _end_now(number)


def _end_now(number: int) -> None:
    files.abandon()
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(128 + number)
