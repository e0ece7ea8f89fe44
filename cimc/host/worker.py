"""The process in which onnxruntime runs: it reads requests from standard input, one reply to each.

It is started as a script and imports nothing of cimc, so that it is up in a fifth of a second.  A message is
two 64-bit lengths, a JSON document and the arrays that it describes, as plain bytes: neither side ever
unpickles what the other one sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

HEADER = struct.Struct("<QQ")
"""Bytes of the JSON document, bytes of all arrays together."""
MAX_SESSIONS = 32
KEPT_BYTES = 1 << 30
"""Sessions beyond the last one are dropped, oldest first, once their models have more bytes together."""

Buffers = list[memoryview]


def pack(value: Any, buffers: Buffers) -> Any:
    """A JSON-able description of a value of onnxruntime; the bytes of its arrays go to ``buffers``.

    Values are arrays (also of texts), lists, dicts and ``None``, nested as onnxruntime nests sequences, maps
    and optionals.
    """
    if value is None:
        return {"none": True}
    if isinstance(value, list | tuple):
        return {"list": [pack(v, buffers) for v in value]}
    if isinstance(value, dict):
        return {"map": [[pack(k, buffers), pack(v, buffers)] for k, v in value.items()]}
    array = np.asarray(value)
    scalar = not isinstance(value, np.ndarray)
    if array.dtype.kind in "OUS":
        texts = [t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in array.ravel()]
        return {"shape": array.shape, "texts": texts, "scalar": scalar}
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    buffers.append(memoryview(flat))  # type: ignore[arg-type]
    return {"shape": array.shape, "dtype": array.dtype.name, "scalar": scalar}


def unpack(described: dict[str, Any], data: NDArray[np.uint8], at: int = 0) -> tuple[Any, int]:
    """The value that :func:`pack` described, and the position behind its bytes in ``data``."""
    if "none" in described:
        return None, at
    if "list" in described:
        values = []
        for item in described["list"]:
            value, at = unpack(item, data, at)
            values.append(value)
        return values, at
    if "map" in described:
        pairs = {}
        for key, item in described["map"]:
            name, at = unpack(key, data, at)
            pairs[name], at = unpack(item, data, at)
        return pairs, at
    shape = tuple(described["shape"])
    array: NDArray[Any]
    if "texts" in described:
        array = np.array(described["texts"], dtype=object).reshape(shape)
    else:
        dtype = _dtype(described["dtype"])
        count = 1
        for extent in shape:
            count *= extent
        stop = at + count * dtype.itemsize
        if stop > len(data):
            raise ValueError("an array is longer than its message")
        part = data[at:stop]
        # a view where it is aligned: the message lives as long as its arrays
        aligned = (data.ctypes.data + at) % max(dtype.alignment, 1) == 0
        array = (part if aligned else part.copy()).view(dtype).reshape(shape)
        at = stop
    return (array.item() if described["scalar"] else array), at


def _dtype(name: str) -> np.dtype[Any]:
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return found


def message(document: dict[str, Any], buffers: Buffers) -> list[memoryview]:
    """The pieces of a message, to be written one after the other."""
    text = json.dumps(document).encode()
    return [memoryview(HEADER.pack(len(text), sum(len(b) for b in buffers)) + text), *buffers]


def timed(
    call: Callable[[int], object], count: int, seconds: float, repeats: int, streams: int
) -> list[list[list[float]]]:
    """Times of calls: ``call(i)`` with ``i`` from 0 to ``count - 1``, around and around.

    Every stream is a thread that begins at another ``i``.  The first fifth of the time warms up and is left
    out; the rest is cut into ``repeats`` equal stretches of whole calls, of at least one call each.

    Returns:
        Seconds of each call, by stream and stretch: ``[streams][repeats][calls]``.
    """
    found: list[list[list[float]]] = [[] for _ in range(streams)]
    failed: list[BaseException] = []
    together = threading.Barrier(streams)

    def stream(number: int) -> None:
        at = number * max(1, count // streams)
        try:
            together.wait()
            stretches: list[list[float]] = []
            begin = now = time.perf_counter()
            for part in range(repeats + 1):
                until = begin + seconds * (0.2 + 0.8 * part / repeats)
                calls: list[float] = []
                while not calls or now < until:
                    call(at % count)
                    at += 1
                    before, now = now, time.perf_counter()
                    calls.append(now - before)
                stretches.append(calls)
            found[number] = stretches[1:]
        except BaseException as error:
            failed.append(error)
            together.abort()

    others = [threading.Thread(target=stream, args=(n,)) for n in range(1, streams)]
    for thread in others:
        thread.start()
    stream(0)
    for thread in others:
        thread.join()
    real = [error for error in failed if not isinstance(error, threading.BrokenBarrierError)]
    if real:
        raise real[0]
    return found


class _Sessions:
    """Sessions by key, the least recently used dropped first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Any, int]] = OrderedDict()

    def get(self, key: str) -> Any:
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def add(self, key: str, session: Any, size: int) -> None:
        self._kept[key] = (session, size)
        while len(self._kept) > 1 and (
            len(self._kept) > MAX_SESSIONS or sum(s for _, s in self._kept.values()) > KEPT_BYTES
        ):
            self._kept.popitem(last=False)


def _open(document: dict[str, Any], model: bytes | str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = document["threads"]
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = document.get("deterministic", True)
    options.log_severity_level = 4  # errors come as exceptions, not twice
    if not document["optimise"]:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if document.get("int8", False):
        model = _dynamically_quantised(model)
    # Its fallback to other providers prints to stdout and tries the same one again.
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def _dynamically_quantised(model: bytes | str) -> bytes:
    """The model with int8 weights, by onnxruntime's own quantiser.

    Weights take 7 bits: with 8, sums of two products saturate in 16 bits on processors without VNNI.
    """
    import logging
    import tempfile

    from onnxruntime.quantization import quantize_dynamic

    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "int8.onnx")  # noqa: PTH118 (keeps pathlib out)
        quantize_dynamic(model, made, reduce_range=True)
        with open(made, "rb") as file:  # noqa: PTH123
            return file.read()


def _answer(
    document: dict[str, Any], data: NDArray[np.uint8], sessions: _Sessions
) -> tuple[dict[str, Any], Buffers]:
    """Reply to one request."""
    session = sessions.get(document["key"])
    at = 0
    if session is None and not document["opens"]:
        return {"unknown": True}, []
    if document["opens"]:
        path = document.get("path")
        at = document["model_bytes"] if path is None else 0
        size = os.path.getsize(path) if path is not None else at  # noqa: PTH202 (keeps pathlib out)
    if session is None:
        _allow(document["memory"] + 3 * size)
        session = _open(document, path if path is not None else data[:at].tobytes())
        sessions.add(document["key"], session, size)
    if not document.get("run", True):
        return {"names": [], "values": []}, []
    _allow(document["memory"])
    if "batches" in document:
        return _measured(document, data, at, session), []
    inputs = {}
    for name, item in document["inputs"]:
        inputs[name], at = unpack(item, data, at)
    names = document["outputs"]
    if names is None:
        names = [o.name for o in session.get_outputs()]
    buffers: Buffers = []
    values = [pack(v, buffers) for v in session.run(names, inputs)]
    return {"names": names, "values": values}, buffers


def _measured(document: dict[str, Any], data: NDArray[np.uint8], at: int, session: Any) -> dict[str, Any]:
    """Times of runs on the batches of a request: of nothing but the runs."""
    batches: list[dict[str, Any]] = []
    for described in document["batches"]:
        inputs = {}
        for name, item in described:
            inputs[name], at = unpack(item, data, at)
        batches.append(inputs)

    def call(number: int) -> None:
        session.run(None, batches[number])

    times = timed(call, len(batches), document["seconds"], document["repeats"], document["streams"])
    return {"times": times}


def _allow(more: int) -> None:
    """Let this process take ``more`` bytes of memory of its own beyond what it has (Linux only)."""
    try:
        import resource

        with open("/proc/self/status") as file:  # noqa: PTH123
            have = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmData"))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (min(have + more, 2**63 - 1), hard))
    except (ImportError, OSError, StopIteration, ValueError):
        return  # no such limit on this system; the time limit still holds


_OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "failed to allocate", "std::length_error", "out of memory")


def _failure(error: Exception) -> dict[str, Any]:
    text = " ".join(str(error).split())
    lost = isinstance(error, MemoryError) or any(sign in text.lower() for sign in _OUT_OF_MEMORY)
    return {"error": text or type(error).__name__, "memory": lost}


def _read(stream: IO[bytes], size: int) -> NDArray[np.uint8]:
    data = np.empty(size, np.uint8)
    at = 0
    while at < size:
        got = stream.readinto(memoryview(data)[at:])  # type: ignore[attr-defined,arg-type]
        if not got:
            raise EOFError
        at += got
    return data


def _follow_parent() -> None:
    """End this process when the one that started it is gone, also in the middle of an endless loop."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def serve() -> None:
    """Answer requests until standard input ends."""
    import signal

    # they go to all processes of a terminal: the one that waits deals with them, and ends this one
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with contextlib.suppress(ValueError):
            signal.signal(number, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "wb", 0)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)  # what native code prints is no part of a reply
    threading.Thread(target=_follow_parent, daemon=True).start()
    requests, sessions = os.fdopen(0, "rb", 0), _Sessions()
    import onnxruntime  # noqa: F401 (before the first limit is measured)

    while True:
        try:
            text, size = HEADER.unpack(_read(requests, HEADER.size).tobytes())
            document, data = json.loads(_read(requests, text).tobytes()), _read(requests, size)
        except EOFError:
            return
        buffers: Buffers = []
        try:
            reply, buffers = _answer(document, data, sessions)
        except Exception as error:  # onnxruntime raises a dozen unrelated types
            reply, buffers = _failure(error), []
        _allow(1 << 40)
        for piece in message(reply, buffers):
            rest = piece
            while len(rest):
                rest = rest[replies.write(rest) :]
        del data, buffers


if __name__ == "__main__":
    serve()
