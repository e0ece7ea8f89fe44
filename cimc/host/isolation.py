"""onnxruntime in a process of its own, with limits on time and memory: no model can take this one down.

One process serves all models that this process runs; it is started when first needed and ends with it.  A
call that exceeds its time is ended by killing that process; the next call starts another one.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import CimcError
from cimc.host import worker
from cimc.host.worker import HEADER, Buffers, message
from cimc.support.limits import Limits

_limits: ContextVar[Limits] = ContextVar("host_limits", default=Limits())  # noqa: B039 (frozen)
_START_SECONDS = 60.0


def current_limits() -> Limits:
    """The limits that calls of onnxruntime have here."""
    return _limits.get()


@contextlib.contextmanager
def host_limits(limits: Limits) -> Iterator[None]:
    """Calls of onnxruntime inside of the block have the ``host_seconds`` and ``host_bytes`` of ``limits``."""
    token = _limits.set(limits)
    try:
        yield
    finally:
        _limits.reset(token)


class WorkerLost(Exception):
    """The process ended (``code``: as ``subprocess`` gives it) or exceeded the time (``code`` is None)."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Worker:
    """A running worker process."""

    def __init__(self) -> None:
        paths = [p for p in sys.path if p and os.path.isabs(p)]  # noqa: PTH117
        start = (
            "import sys, json, runpy; sys.path[:] = json.loads(sys.argv[2]); "
            "runpy.run_path(sys.argv[1], run_name='__main__')"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", start, worker.__file__, json.dumps(paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._fresh = True

    def ask(
        self, document: dict[str, Any], buffers: Buffers, seconds: float
    ) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        """Send a request and wait for its reply.

        Raises:
            WorkerLost: the process ended, or had no reply in time and was killed.
        """
        until = time.monotonic() + seconds + (_START_SECONDS if self._fresh else 0)
        self._fresh = False
        try:
            for piece in message(document, buffers):
                self._write(piece, until)
            head = self._read(HEADER.size, until)
            text, size = HEADER.unpack(head.tobytes())
            reply: dict[str, Any] = json.loads(self._read(text, until).tobytes())
            return reply, self._read(size, until)
        except WorkerLost:
            self.close()
            raise
        except BaseException:  # Ctrl-C or a damaged reply: what is left in the pipes belongs to nobody
            self.close()
            raise

    def _wait(self, descriptor: int, event: int, until: float) -> None:
        poller = select.poll()
        poller.register(descriptor, event)
        left = until - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            raise WorkerLost(None)

    def _write(self, piece: memoryview, until: float) -> None:
        at = 0
        while at < len(piece):
            try:
                at += os.write(self._in, piece[at : at + (1 << 20)])
            except BlockingIOError:
                self._wait(self._in, select.POLLOUT, until)
            except OSError:
                raise WorkerLost(self._code()) from None

    def _read(self, size: int, until: float) -> NDArray[np.uint8]:
        data = np.empty(size, np.uint8)
        view, at = memoryview(data), 0  # type: ignore[arg-type]
        while at < size:
            try:
                got = os.readv(self._out, [view[at : at + (1 << 24)]])
            except BlockingIOError:
                self._wait(self._out, select.POLLIN, until)
                continue
            if not got:
                raise WorkerLost(self._code())
            at += got
        return data

    def _code(self) -> int:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(5)
        return 0

    def close(self) -> None:
        """Kill the process."""
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self.process.poll() is None and not (self.process.stdin and self.process.stdin.closed)


class _Pool:
    """The one worker of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.worker: Worker | None = None
        self.owner = 0

    def get(self) -> Worker:
        if self.owner != os.getpid():
            self.worker = None  # after a fork the pipes belong to the parent
        if self.worker is None or not self.worker.alive:
            self.worker, self.owner = Worker(), os.getpid()
        return self.worker

    def close(self) -> None:
        if self.worker is not None and self.owner == os.getpid():
            self.worker.close()
        self.worker = None


_pool = _Pool()
atexit.register(_pool.close)
os.register_at_fork(after_in_child=lambda: setattr(_pool, "lock", threading.Lock()))


def warm_up() -> None:
    """Start the worker now, in the background, if there is none: it takes a fifth of a second."""
    with _pool.lock:
        _pool.get()


Opening = tuple[dict[str, Any], Buffers]
"""What is added to a request whose session the worker does not have: where the model is, or its bytes."""


def ask(
    document: dict[str, Any], buffers: Buffers, opening: Opening
) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Run a model in the worker.

    Args:
        document: the request without its model; ``memory`` is added here.
        buffers: the bytes of its arrays.
        opening: added where the worker does not have the session.

    Returns:
        The reply, and the bytes of its arrays.

    Raises:
        CimcError: ``host.time-limit``, ``host.memory-limit``, ``host.crashed``, or ``host.onnxruntime`` with
            onnxruntime's message.
    """
    limits = _limits.get()
    document = {**document, "opens": False, "memory": limits.host_bytes}
    with _pool.lock:
        try:
            reply, data = _pool.get().ask(document, buffers, limits.host_seconds)
            if "unknown" in reply:
                more, model = opening
                request = {**document, **more, "opens": True}
                reply, data = _pool.get().ask(request, [*model, *buffers], limits.host_seconds)
        except WorkerLost as lost:
            raise _lost(lost.code, limits) from None
    if "error" in reply:
        if reply["memory"]:
            raise CimcError(
                "host.memory-limit",
                f"onnxruntime needs more than the {limits.host_bytes} bytes that it may take: "
                f"{reply['error'][:300]}",
                hint="if the model is yours: fewer requests at a time, or a higher --memory-limit",
            )
        raise CimcError("host.onnxruntime", reply["error"])
    return reply, data


def _lost(code: int | None, limits: Limits) -> CimcError:
    if code is None:
        return CimcError(
            "host.time-limit",
            f"onnxruntime did not finish within {limits.host_seconds:g} s",
            hint="does the model loop without end? If it is only slow: fewer requests, or more --time-limit",
        )
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return CimcError(
        "host.crashed",
        f"the process of onnxruntime ended with {how}",
        hint="onnxruntime cannot execute this model; a newer version may",
    )
