"""The float reference: onnxruntime on the original file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto

from cimc.errors import RequestError
from cimc.frontend.preflight import judge, may_lack_kernels
from cimc.frontend.read.load_model import LoadedModel, load_model
from cimc.host.choices import choosers
from cimc.host.runtime import run_onnx
from cimc.workload.request_rules import Arrays


@dataclass(frozen=True)
class Reference:
    """An ONNX file that onnxruntime executes; it passed the checks of one that is compiled.

    Attributes:
        loaded: the file.
        outputs: which of its outputs are wanted.
        as_is: whether the file itself runs; else what runs is a model that was changed to one that does.
    """

    loaded: LoadedModel
    outputs: tuple[str, ...]
    as_is: bool

    @classmethod
    def load(cls, model: Path, outputs: Sequence[str] | None = None) -> Reference:
        """Read the file; ``outputs`` defaults to all of them.

        Raises:
            ModelError: for a file that cannot be accepted.
            RequestError: ``request.other-outputs`` when it is another model.
        """
        loaded = load_model(model)
        names = [value.name for value in loaded.proto.graph.output]
        missing = sorted(set(outputs or ()) - set(names))
        if missing:
            raise RequestError(
                "request.other-outputs",
                f"{model} has no output called {', '.join(missing)}",
                hint="give --check the file that the program was compiled from",
            )
        changed = may_lack_kernels(loaded.proto) and bool(judge(loaded))
        return cls(loaded, tuple(outputs or names), not changed)

    @property
    def may_choose(self) -> bool:
        """Whether nodes of the model choose among scores."""
        return bool(choosers(self.loaded.proto.graph))

    def run(self, arrays: Arrays) -> Arrays:
        """The outputs for a batch of requests.

        Raises:
            RequestError: ``request.missing-input``.
        """
        graph = self.loaded.proto.graph
        weights = {tensor.name for tensor in graph.initializer}
        # onnxruntime asks for every input of a file, also for those that no output needs
        complete = all(v.name in arrays or v.name in weights for v in graph.input)
        if self.as_is and complete:
            return run_onnx(self.loaded.path, inputs_of(graph, arrays), list(self.outputs))
        part = self.part()
        return run_onnx(part, inputs_of(part.graph, arrays), list(self.outputs))

    def part(self) -> ModelProto:
        """What the outputs need, with all weights, as a model of its own.

        Raises:
            ModelError: ``export.too-large``.
        """
        return _part(self.loaded, self.outputs)


def reference_outputs(
    model: Path, arrays: Arrays, outputs: Sequence[str] | None = None
) -> tuple[Arrays, str]:
    """Outputs (all by default) of an ONNX file for a batch of requests, and the digest of the file.

    Raises:
        ModelError: for a file that cannot be accepted.
        RequestError: ``request.missing-input``, or ``request.other-outputs`` when it is another model.
    """
    reference = Reference.load(model, outputs)
    return reference.run(arrays), reference.loaded.digest


def inputs_of(graph: GraphProto, arrays: Arrays) -> Arrays:
    """The inputs of a graph among ``arrays``, with the types that it takes.

    Raises:
        RequestError: ``request.missing-input``.
    """
    weights = {tensor.name for tensor in graph.initializer}
    given = {}
    for value in graph.input:
        if value.name in weights:
            continue
        if value.name not in arrays:
            raise RequestError(
                "request.missing-input", f"the model's input '{value.name}' is not among the arrays"
            )
        given[value.name] = arrays[value.name].astype(dtype_of(value.type.tensor_type.elem_type), copy=False)
    return given


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
    part = _part(loaded, outputs)
    return run_onnx(part, inputs_of(part.graph, arrays), list(outputs))


def _part(loaded: LoadedModel, outputs: Sequence[str]) -> ModelProto:
    from cimc.frontend.export_graph import export_module
    from cimc.frontend.import_graph import import_model
    from cimc.frontend.select_outputs import select_outputs
    from cimc.ir.text import new_context

    ctx = new_context()
    module = import_model(loaded, ctx)
    select_outputs(module, outputs, ctx)
    return export_module(module, ctx)
