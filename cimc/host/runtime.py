"""onnxruntime: the float reference, and the executor of host segments.

It never runs in this process: see ``isolation.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cimc.errors import CimcError, Location, printable
from cimc.host.isolation import Opening, ask
from cimc.host.worker import Buffers, pack, unpack

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class HostRunner:
    """Runs models in onnxruntime on the CPU, deterministically.

    Sessions are kept by the worker process; one is found again by the digest of the model's bytes, or for a
    file by its path, size and modification time.

    Attributes:
        threads: threads inside one operator; with 1 (the default) sums are always in the same order.
        optimise: let onnxruntime fuse and fold; off, every node runs as written.
        deterministic: have equal inputs give equal outputs, also where that is slower.
        int8: quantise the model first, dynamically, as onnxruntime's own quantiser does with 7-bit weights.
    """

    threads: int = 1
    optimise: bool = True
    deterministic: bool = True
    int8: bool = False

    def run(
        self,
        model: onnx.ModelProto | bytes | Path,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Sequence[str] | None = None,
    ) -> Arrays:
        """Execute a model.

        Args:
            model: given as a path it is run as a file, with its external data; bytes must have none.
            inputs: an array per graph input, of exactly the declared element type.
            outputs: which outputs to compute; all, in the graph's order, by default.

        Raises:
            CimcError: ``host.onnxruntime`` with onnxruntime's message; ``host.time-limit``,
                ``host.memory-limit`` or ``host.crashed`` when it does not behave (see ``host_limits``).
        """
        buffers: Buffers = []
        request = {
            "inputs": [(name, pack(np.asarray(value), buffers)) for name, value in inputs.items()],
            "outputs": None if outputs is None else list(outputs),
        }
        reply, data = self._ask(model, request, buffers)
        values, at = {}, 0
        for each, described in zip(reply["names"], reply["values"], strict=True):
            values[each], at = unpack(described, data, at)
        return values

    def open(self, model: onnx.ModelProto | bytes | Path) -> None:
        """Have onnxruntime load a model, and execute nothing of it.

        Raises:
            CimcError: as :meth:`run`.
        """
        self._ask(model, {"inputs": [], "outputs": [], "run": False}, [])

    def measure(
        self,
        model: onnx.ModelProto | bytes | Path,
        batches: Sequence[Mapping[str, NDArray[Any]]],
        seconds: float,
        repeats: int,
        streams: int = 1,
    ) -> list[list[list[float]]]:
        """Times of runs, taken in the worker around nothing but the run; see :func:`cimc.host.worker.timed`.

        Args:
            model: as for :meth:`run`.
            batches: inputs of one run each; they take turns.
            seconds: how long it may take in all, the first fifth of which warms up.
            repeats: stretches that are timed apart.
            streams: runs that are under way at a time.

        Raises:
            CimcError: as :meth:`run`.
        """
        buffers: Buffers = []
        packed = [[(name, pack(np.asarray(v), buffers)) for name, v in each.items()] for each in batches]
        request = {"batches": packed, "seconds": seconds, "repeats": repeats, "streams": streams}
        reply, _ = self._ask(model, request, buffers)
        found: list[list[list[float]]] = reply["times"]
        return found

    def _ask(
        self, model: onnx.ModelProto | bytes | Path, request: dict[str, Any], buffers: Buffers
    ) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        name = None
        if isinstance(model, Path):
            name = str(model)
            try:
                status, path = model.stat(), str(model.resolve())
            except OSError as error:
                raise _failed(CimcError("host.onnxruntime", str(error)), name) from None
            key = f"{path}\0{status.st_size}\0{status.st_mtime_ns}"
            opening: Opening = {"path": path}, []
        else:
            source = model if isinstance(model, bytes) else model.SerializeToString(deterministic=True)
            key = hashlib.sha256(source).hexdigest()
            opening = {"model_bytes": len(source)}, [memoryview(source)]
        session = asdict(self)
        document = {"key": "\0".join([key, *map(str, session.values())]), **session, **request}
        try:
            return ask(document, buffers, opening)
        except CimcError as error:
            raise _failed(error, name) from None


def run_onnx(
    model: onnx.ModelProto | bytes | Path,
    inputs: Mapping[str, NDArray[Any]],
    outputs: Sequence[str] | None = None,
    threads: int = 1,
) -> Arrays:
    """Execute a model once; see :meth:`HostRunner.run`."""
    return HostRunner(threads).run(model, inputs, outputs)


def _failed(error: CimcError, name: str | None) -> CimcError:
    message = printable(error.message, 600)
    return CimcError(
        error.code,
        f"onnxruntime: {message}" if error.code == "host.onnxruntime" else message,
        location=Location(file=name) if name else None,
        hint=error.hint,
    )
