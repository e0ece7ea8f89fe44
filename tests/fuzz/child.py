"""Runs a function in a forked child with limits on memory and time."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

from cimc.host import isolation

CPU_SECONDS = 30
WALL_SECONDS = 120.0
MEMORY_BYTES = 2 << 30
"""Beyond what the process has when it is forked."""


class Borrowed(isolation.Worker):
    """The parent's worker process, used by one child after the other."""

    def __init__(self, lender: isolation.Worker) -> None:
        self._in, self._out, self._fresh = lender._in, lender._out, False
        self._pid, self._gone = lender.process.pid, False

    def close(self) -> None:
        if not self._gone:
            os.kill(self._pid, signal.SIGKILL)
        self._gone = True

    def _code(self) -> int:
        return -1

    @property
    def alive(self) -> bool:
        return not self._gone


def lend() -> isolation.Worker:
    """The parent's worker, started if need be."""
    with isolation._pool.lock:
        return isolation._pool.get()


def _own_data() -> int:
    with Path("/proc/self/status").open() as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmData"))


def in_child(work: Callable[[], dict[str, str]], worker: isolation.Worker) -> dict[str, str]:
    """What ``work`` returns, or the outcome ``hang``, ``memory`` or ``crash`` where it did not return."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            isolation._pool.worker, isolation._pool.owner = Borrowed(worker), os.getpid()
            limit = _own_data() + MEMORY_BYTES
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            data = json.dumps(work()).encode()
            while data:
                data = data[os.write(write, data) :]
            status = 0
        except MemoryError:
            os.write(write, b'{"outcome": "memory", "code": "", "detail": "outside of the judge"}')
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    text = _read_all(read, pid)
    _, status = os.waitpid(pid, 0)
    if text is None:
        return {"outcome": "hang", "code": "", "detail": f"no result after {WALL_SECONDS} s"}
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGXCPU, signal.SIGKILL):
            return {"outcome": "hang", "code": "", "detail": f"more than {CPU_SECONDS} s of CPU"}
        return {"outcome": "crash", "code": signal.Signals(number).name, "detail": "native code"}
    if not text:
        return {"outcome": "crash", "code": "exit", "detail": f"status {status}"}
    found: dict[str, str] = json.loads(text)
    return found


def _read_all(descriptor: int, pid: int) -> bytes | None:
    """All that a child writes until it ends; ``None`` where it had to be killed."""
    until, data = time.monotonic() + WALL_SECONDS, b""
    try:
        while True:
            ready, _, _ = select.select([descriptor], [], [], max(until - time.monotonic(), 0))
            if not ready:
                os.kill(pid, signal.SIGKILL)
                return None
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                return data
            data += piece
    finally:
        os.close(descriptor)
