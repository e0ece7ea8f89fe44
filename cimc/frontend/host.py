"""onnxruntime: the float reference, and the executor of host segments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cimc.errors import CimcError, Location, printable

Arrays = dict[str, NDArray[Any]]


@dataclass
class HostRunner:
    """Runs models in onnxruntime on the CPU, deterministically, and keeps their sessions.

    A session is found again by the digest of the model's bytes, or for a file by its path, size and
    modification time.

    Attributes:
        threads: threads inside one operator; with 1 (the default) sums are always in the same order.
        optimise: let onnxruntime fuse and fold; off, every node runs as written.
    """

    threads: int = 1
    optimise: bool = True
    _sessions: dict[str, Any] = field(default_factory=dict, repr=False)

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
            CimcError: ``host.onnxruntime`` with onnxruntime's message.
        """
        session, name = self._session(model)
        wanted = list(outputs) if outputs is not None else [o.name for o in session.get_outputs()]
        try:
            values = session.run(wanted, {key: np.asarray(value) for key, value in inputs.items()})
        except Exception as error:  # onnxruntime raises a dozen unrelated types
            raise _failed(error, name) from None
        return dict(zip(wanted, values, strict=True))

    def _session(self, model: onnx.ModelProto | bytes | Path) -> tuple[Any, str | None]:
        if isinstance(model, Path):
            name: str | None = str(model)
            try:
                status = model.stat()
            except OSError as error:
                raise _failed(error, name) from None
            source: str | bytes = str(model)
            key = f"{model.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
        else:
            name = None
            source = model if isinstance(model, bytes) else model.SerializeToString(deterministic=True)
            key = hashlib.sha256(source).hexdigest()
        if key not in self._sessions:
            self._sessions[key] = self._open(source, name)
        return self._sessions[key], name

    def _open(self, source: str | bytes, name: str | None) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        options.log_severity_level = 4  # errors come as exceptions, not twice
        if not self.optimise:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            # Its fallback to other providers prints to stdout and tries the same one again.
            return onnxruntime.InferenceSession(
                source, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # see run
            raise _failed(error, name) from None


def run_onnx(
    model: onnx.ModelProto | bytes | Path,
    inputs: Mapping[str, NDArray[Any]],
    outputs: Sequence[str] | None = None,
    threads: int = 1,
) -> Arrays:
    """Execute a model once; see :meth:`HostRunner.run`."""
    return HostRunner(threads).run(model, inputs, outputs)


def _failed(error: Exception, name: str | None) -> CimcError:
    return CimcError(
        "host.onnxruntime",
        f"onnxruntime: {printable(' '.join(str(error).split()), 600)}",
        location=Location(file=name) if name else None,
    )
