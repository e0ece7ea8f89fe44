"""The float reference: onnxruntime on the original file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cimc.errors import RequestError
from cimc.frontend.host import run_onnx
from cimc.frontend.loader import LoadedModel, load_model
from cimc.frontend.trial import judge, may_lack_kernels
from cimc.ir.requests import Arrays


def reference_outputs(
    model: Path, arrays: Arrays, outputs: Sequence[str] | None = None
) -> tuple[Arrays, str]:
    """Outputs (all by default) of an ONNX file for a batch of requests, and the digest of the file.

    The file passes the same checks as one that is compiled before onnxruntime sees it.

    Raises:
        ModelError: for a file that cannot be accepted.
        RequestError: ``request.missing-input``, or ``request.other-outputs`` when it is another model.
    """
    loaded = load_model(model)
    graph = loaded.proto.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    missing = sorted(set(outputs or ()) - {value.name for value in graph.output})
    if missing:
        raise RequestError(
            "request.other-outputs",
            f"{model} has no output called {', '.join(missing)}",
            hint="give --check the file that the program was compiled from",
        )
    wanted = list(outputs or [v.name for v in graph.output])
    if any(value.name not in arrays for value in inputs):  # no output may need it, yet onnxruntime would
        return part_outputs(model, arrays, wanted), loaded.digest
    given = {
        v.name: arrays[v.name].astype(dtype_of(v.type.tensor_type.elem_type), copy=False) for v in inputs
    }
    if may_lack_kernels(loaded.proto) and judge(loaded):  # the file itself does not run
        return _run_part(loaded, given, wanted), loaded.digest
    return run_onnx(model, given, outputs), loaded.digest


def dtype_of(number: int) -> np.dtype:
    """Numpy dtype of an ONNX element type.

    Raises:
        RequestError: ``request.bad-dtype`` for a number that stands for none.
    """
    from onnx.helper import tensor_dtype_to_np_dtype

    try:
        return np.dtype(tensor_dtype_to_np_dtype(number))
    except KeyError:
        raise RequestError("request.bad-dtype", f"element type {number} of an input is not known") from None


def part_outputs(model: Path, arrays: Arrays, outputs: Sequence[str]) -> Arrays:
    """``outputs`` of an ONNX file by onnxruntime, given only the inputs that these outputs need.

    Raises:
        ModelError: for a file that cannot be accepted; ``frontend.unknown-output``.
        RequestError: ``request.missing-input``.
    """
    loaded = load_model(model)
    if may_lack_kernels(loaded.proto):
        judge(loaded)
    return _run_part(loaded, arrays, outputs)


def _run_part(loaded: LoadedModel, arrays: Arrays, outputs: Sequence[str]) -> Arrays:
    from cimc.frontend.exporter import export_module
    from cimc.frontend.importer import import_model
    from cimc.frontend.select import select_outputs
    from cimc.ir.text import new_context

    ctx = new_context()
    module = import_model(loaded, ctx)
    select_outputs(module, outputs, ctx)
    part = export_module(module, ctx)
    given = {}
    for value in part.graph.input:
        if value.name not in arrays:
            raise RequestError(
                "request.missing-input", f"the model's input '{value.name}' is not among the arrays"
            )
        given[value.name] = arrays[value.name].astype(dtype_of(value.type.tensor_type.elem_type), copy=False)
    return run_onnx(part, given, list(outputs))
