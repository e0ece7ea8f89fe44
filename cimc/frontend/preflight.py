"""Asks onnxruntime whether it would run a model, without giving it the large weights.

Shapes and element types that contradict each other are found by onnxruntime's own inference, so a model that
it refuses is refused here too, before the compiler believes any of its shapes.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto

from cimc.errors import CimcError, Location, ModelError, printable
from cimc.frontend.read.load_model import LoadedModel
from cimc.frontend.read.structure import node_name
from cimc.frontend.rewrite.bf16_to_f32 import NOTE, has_bfloat16, widen
from cimc.frontend.rewrite.recurrent_layout import NOTE as LAYOUT_NOTE
from cimc.frontend.rewrite.recurrent_layout import has_batch_first, sequences_first
from cimc.host.runtime import HostRunner
from cimc.ir.onnx.graphs import graphs_of


def try_model(loaded: LoadedModel) -> None:
    """Refuse a model that onnxruntime does not open.

    Raises:
        ModelError: ``frontend.no-outputs``, ``frontend.invalid-model``, or ``frontend.runtime-refuses`` with
            onnxruntime's message.
        CimcError: ``host.*`` when onnxruntime does not behave.
    """
    if not loaded.proto.graph.output:
        raise ModelError(
            "frontend.no-outputs",
            "the model has no outputs",
            location=Location(file=str(loaded.path)),
            hint="was it exported with outputs?",
        )
    _slices(loaded)
    runner = HostRunner(optimise=False)
    skeleton, whole = _skeleton(loaded.proto)
    try:
        runner.open(skeleton)
    except CimcError as error:
        if error.code != "host.onnxruntime":
            raise
        if not whole:
            # some operators want their weights as constants, which the skeleton does not have
            try:
                runner.open(loaded.path)
            except CimcError as second:
                if second.code != "host.onnxruntime":
                    raise
            else:
                return
        raise ModelError(
            "frontend.runtime-refuses",
            f"onnxruntime refuses the model: {error.message.removeprefix('onnxruntime: ')}",
            location=Location(file=str(loaded.path)),
            hint="a model that does not run in onnxruntime has no meaning that a compiler could keep",
        ) from None


def judge(loaded: LoadedModel) -> list[str]:
    """As :func:`try_model`; a model that onnxruntime lacks kernels for is changed to one it has, in place.

    That is one of bfloat16, made float32, and recurrent layers of layout 1.  Returns notes for the user.
    """
    notes = []
    if has_batch_first(loaded.proto):
        sequences_first(loaded.proto)
        notes.append(LAYOUT_NOTE)
    try:
        try_model(loaded)
    except ModelError as error:
        if error.code != "frontend.runtime-refuses" or not has_bfloat16(loaded.proto):
            raise
        widen(loaded.proto)
        if not _opens(loaded.proto):
            raise
        notes.append(NOTE)
    return notes


def may_lack_kernels(model: onnx.ModelProto) -> bool:
    """Whether :func:`judge` may change the model."""
    return has_bfloat16(model) or has_batch_first(model)


def _opens(model: onnx.ModelProto) -> bool:
    try:
        HostRunner(optimise=False).open(_skeleton(model)[0])
    except CimcError as error:
        if error.code != "host.onnxruntime":
            raise
        return False
    return True


def _slices(loaded: LoadedModel) -> None:
    """Bounds of ``Slice`` must be vectors: onnxruntime finds that out only when it executes the node."""
    graphs = list(graphs_of(loaded.proto))
    ranks = {t.name: len(t.dims) for graph in graphs for t in graph.initializer}
    for graph in graphs:
        for node in graph.node:
            if node.op_type == "Constant":
                ranks.update((node.output[0], len(a.t.dims)) for a in node.attribute if a.name == "value")
    for graph in graphs:
        for node in graph.node:
            if node.op_type != "Slice" or node.domain not in ("", "ai.onnx"):
                continue
            for name in node.input[1:]:
                if ranks.get(name, 1) != 1:
                    raise ModelError(
                        "frontend.invalid-model",
                        f"the bounds '{printable(name)}' of a Slice are no vector",
                        location=Location(str(loaded.path), node_name(node)),
                    )


def _skeleton(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
    """The model with its large weights as inputs, and whether there were none."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    graph = out.graph
    large = [t for t in graph.initializer if t.data_location == TensorProto.EXTERNAL]
    small = [t for t in graph.initializer if t.data_location != TensorProto.EXTERNAL]
    known = {value.name for value in graph.input}
    for tensor in large:
        if tensor.name not in known:
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    kept = [onnx.TensorProto.FromString(t.SerializeToString()) for t in small]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return out, not large
