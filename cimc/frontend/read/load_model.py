"""The front door: opens an untrusted ONNX file and hands on a model that later passes can believe.

Budgets, names, data flow, functions and tensors are judged in plain Python first (``structure.py``,
``tensors.py``, ``external_data.py``); only then the ONNX checker and the inliner, native code, see the model.
A file is refused only when onnxruntime refuses it too, or for a resource that :class:`Limits` names.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto

from cimc.errors import Location, ModelError, printable
from cimc.frontend.read.cut_weights import FIELD_TYPES, NotWireFormat, Span, TooLarge, cut_weights
from cimc.frontend.read.external_data import ExternalFiles, hash_blocks, map_file
from cimc.frontend.read.generated_weights import GeneratedWeights
from cimc.frontend.read.structure import StructureCheck, domain_of
from cimc.ir.onnx.graphs import all_nodes, graphs_of
from cimc.ir.onnx.tensors import Array, check_inline, decode, densify, extents, stored_bytes
from cimc.ir.types import element_from_onnx
from cimc.support.io.claims import reading
from cimc.support.limits import Limits

_INSIDE = "\0model"
"""Location of weights cut out of the model file; no file of a user can have this name."""


@dataclass(frozen=True)
class LoadedModel:
    """A judged model.

    Attributes:
        proto: the model: nodes in topological order, functions inlined, sparse constants dense, opset
            imports complete.  Large weights are not in it: take them from ``arrays`` or ``to_array``.
        path: the file it came from.
        limits: the budgets it was judged by.
        generated: the weights that stand in for missing data files, if that was asked for.
    """

    proto: onnx.ModelProto
    path: Path
    limits: Limits
    _bytes: NDArray[np.uint8]
    _external: ExternalFiles
    generated: GeneratedWeights | None = None

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        """Initialisers of the main graph by name; each is made when asked for, large ones memory-mapped.

        A memory-mapped array is read-only and not necessarily aligned to its element size.
        """
        return _Initializers(self)

    def tensor(self, name: str) -> Array:
        """The main graph's initialiser ``name``; ``KeyError`` when there is none."""
        return self.arrays[name]

    def to_array(self, tensor: onnx.TensorProto) -> Array:
        """The array of any tensor of ``proto``, wherever its data lies.

        A large generated one is a :class:`~cimc.support.io.lazy.LazyArray`, which never is in memory as a
        whole.

        Raises:
            ModelError: ``frontend.bad-tensor``.
        """
        if tensor.data_location == TensorProto.EXTERNAL and self.generated and self.generated.covers(tensor):
            return self.generated.array(tensor, self.proto)
        return decode(tensor, self._data(tensor), str(self.path), self.limits)

    def _data(self, tensor: onnx.TensorProto) -> NDArray[np.uint8] | None:
        if tensor.data_location != TensorProto.EXTERNAL:
            return None
        entries = {e.key: e.value for e in tensor.external_data}
        if entries.get("location") == _INSIDE:
            return self._bytes[int(entries["offset"]) :][: int(entries["length"])]
        _, count = extents(tensor, str(self.path), self.limits)
        return self._external.read(tensor, stored_bytes(tensor.data_type, count))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the bytes of the model file and of all external tensors, streamed.

        Of generated tensors it covers what they are generated from.
        """
        digest = hashlib.sha256()
        hash_blocks(digest, self._bytes)
        self._external.update(digest)
        if self.generated and self.generated.tensors:
            digest.update(self.generated.recipe.encode())
        return digest.hexdigest()


class _Initializers(Mapping[str, Array]):
    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._tensors = {t.name: t for t in model.proto.graph.initializer}
        self._made: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._made:
            self._made[name] = self._model.to_array(self._tensors[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def load_model(path: Path, limits: Limits = Limits(), weights: str | None = None) -> LoadedModel:  # noqa: B008
    """Open and judge an ONNX file.

    Args:
        path: the file.
        limits: caps on what is accepted.
        weights: ``generated:SEED`` to generate the weights whose data files are missing; otherwise a missing
            file is an error.

    Raises:
        ModelError: a ``frontend.*`` code with file, node or tensor, for anything wrong with the file.
        CimcError: ``frontend.weights-option``.
    """
    generated = GeneratedWeights.parse(weights) if weights is not None else None
    path = Path(path)
    reading(path, "the model")
    data = _open(path, limits)
    model, spans = _parse(data, str(path), limits)
    external = ExternalFiles(path, limits)
    check = StructureCheck(model, str(path), limits)
    check.counts_and_names()
    reached = check.functions()
    check.data_flow()
    _operators(model, check, reached)
    _dense(model, str(path), limits)
    _tensors(model, spans, external, generated, str(path), limits)
    _check(model, str(path))
    model = _inline(model, check)
    return LoadedModel(model, path, limits, data, external, generated)


def _open(path: Path, limits: Limits) -> NDArray[np.uint8]:
    where = Location(file=printable(str(path)))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a valid path"
        raise ModelError("frontend.not-found", f"cannot open the model: {why}", location=where) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ModelError("frontend.not-a-file", "the model is not a regular file", location=where)
        if status.st_size > limits.model_bytes:
            raise ModelError(
                "frontend.too-large",
                f"the file has {status.st_size} bytes, the limit is {limits.model_bytes}",
                location=where,
                hint="save the weights as external data beside the model",
            )
        return map_file(descriptor)
    finally:
        os.close(descriptor)


def _parse(data: NDArray[np.uint8], file: str, limits: Limits) -> tuple[onnx.ModelProto, dict[int, Span]]:
    try:
        structure = cut_weights(data.data, limits.structure_bytes, limits.parts)
    except NotWireFormat:
        raise _not_onnx(file, "the bytes are damaged or cut short") from None
    except TooLarge:
        raise ModelError(
            "frontend.too-large",
            f"the model without its large initialisers has more than {limits.structure_bytes} bytes "
            f"or {limits.parts} parts",
            location=Location(file=file),
            hint="save the weights as raw or external data of initialisers",
        ) from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(structure.data)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise _not_onnx(file, printable(str(error))) from None
    if not model.HasField("graph") or not model.opset_import:
        raise _not_onnx(file, "it has no graph or no operator set")
    return model, structure.spans


def _not_onnx(file: str, why: str) -> ModelError:
    return ModelError(
        "frontend.not-onnx",
        f"this is not an ONNX model: {why}",
        location=Location(file=file),
        hint="was it downloaded or exported completely?",
    )


def _operators(model: onnx.ModelProto, check: StructureCheck, reached: set[tuple[str, str, str]]) -> None:
    """Refuse operator sets and operators that onnxruntime does not know; complete the imports."""
    versions: dict[str, int] = {}
    for opset in model.opset_import:
        domain = domain_of(opset.domain)
        if versions.setdefault(domain, opset.version) != opset.version:
            raise check.error(
                "frontend.unsupported-opset", f"domain '{printable(domain)}' is imported in two versions"
            )
    newest = onnx.defs.onnx_opset_version()
    if not 1 <= versions.get("", 1) <= newest:
        raise check.error(
            "frontend.unsupported-opset",
            f"operator set {versions['']} is not known, the newest known one is {newest}",
            hint="export with an older operator set, or update onnx and onnxruntime",
        )
    local = {(domain_of(f.domain), f.name, f.overload) for f in model.functions}
    bodies = [f.node for f in model.functions if (domain_of(f.domain), f.name, f.overload) in reached]
    foreign = {}
    for body in (model.graph.node, *bodies):
        for node, _ in all_nodes(body):
            domain = domain_of(node.domain)
            if domain and (domain, node.op_type, node.overload) not in local:
                versions.setdefault(domain, 1)
                if not onnx.defs.has(node.op_type, domain):
                    foreign[domain, node.op_type] = node
    for (domain, op_type), node in foreign.items() if foreign else ():
        if (domain, op_type) not in _runtime_operators():
            raise check.error(
                "frontend.unknown-operator",
                f"neither ONNX nor onnxruntime knows the operator {printable(domain)}.{printable(op_type)}",
                node=printable(node.name or node.op_type),
                hint="export it as a local function, or leave it out of the model",
            )
    del model.opset_import[:]
    for domain, version in versions.items():
        model.opset_import.add(domain=domain, version=version)
    if not model.graph.name:
        model.graph.name = "graph"  # onnxruntime takes a graph without a name, the checker does not


def _runtime_operators() -> set[tuple[str, str]]:
    """Operators of onnxruntime beyond ONNX; imported only when a model uses another domain."""
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    return {(schema.domain, schema.name) for schema in runtime.get_all_operator_schema()}


def _dense(model: onnx.ModelProto, file: str, limits: Limits) -> None:
    """Make sparse constants dense."""
    left = limits.sparse_elements

    def convert(sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
        nonlocal left
        tensor = densify(sparse, left, file, limits)
        left -= extents(tensor, file, limits)[1]
        return tensor

    for graph in graphs_of(model):
        graph.initializer.extend([convert(sparse) for sparse in graph.sparse_initializer])
        del graph.sparse_initializer[:]
    for body in (model.graph.node, *(f.node for f in model.functions)):
        for node, _ in all_nodes(body):
            for attribute in node.attribute:
                if attribute.HasField("sparse_tensor"):
                    attribute.t.CopyFrom(convert(attribute.sparse_tensor))
                    attribute.ClearField("sparse_tensor")
                    attribute.type = onnx.AttributeProto.TENSOR
                    attribute.name = "value" if attribute.name == "sparse_value" else attribute.name


def _tensors(
    model: onnx.ModelProto,
    spans: dict[int, Span],
    external: ExternalFiles,
    generated: GeneratedWeights | None,
    file: str,
    limits: Limits,
) -> None:
    """Check the amount of data of every tensor, and note where the large ones lie in the file.

    Of several initialisers of one name the last counts, as in onnxruntime.
    """
    large = [(model.graph.initializer[index], span) for index, span in spans.items()]
    cut = {id(tensor): span for tensor, span in large}  # valid while ``large`` keeps the objects alive
    inlined = 0
    for tensor in _all_tensors(model):
        _, count = extents(tensor, file, limits)
        if id(tensor) in cut:
            span = cut[id(tensor)]
            _fits(tensor, span, count, file)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (
                ("location", _INSIDE),
                ("offset", span.start),
                ("length", span.stop - span.start),
            ):
                tensor.external_data.add(key=key, value=str(value))
        elif tensor.data_location == TensorProto.EXTERNAL:
            if tensor.data_type == TensorProto.STRING:
                raise ModelError(
                    "frontend.bad-tensor",
                    "strings cannot be external data",
                    location=Location(file, tensor=printable(tensor.name)),
                )
            size = stored_bytes(tensor.data_type, count)
            if generated is not None and external.is_missing(tensor, size):
                generated.take(tensor, count, file)
                continue
            data = external.read(tensor, size)
            if element_from_onnx(tensor.data_type) is None:
                inlined += size
                if inlined > limits.structure_bytes:
                    raise ModelError(
                        "frontend.too-large",
                        f"tensors of unusual element types have more than {limits.structure_bytes} bytes",
                        location=Location(file, tensor=printable(tensor.name)),
                        hint="store large weights as float32, float16, bfloat16 or 8-bit integers",
                    )
                tensor.raw_data = data.tobytes()  # a type outside of the dialects travels serialized
                tensor.ClearField("external_data")
                tensor.ClearField("data_location")
        else:
            check_inline(tensor, file, limits)
    del large
    for graph in graphs_of(model):
        last = {tensor.name: index for index, tensor in enumerate(graph.initializer)}
        for index in reversed(range(len(graph.initializer))):
            if last[graph.initializer[index].name] != index:
                del graph.initializer[index]


def _fits(tensor: onnx.TensorProto, span: Span, count: int, file: str) -> None:
    """Check the data of a tensor that was cut out of the file."""
    typed = FIELD_TYPES.get(span.field)
    have = span.stop - span.start
    if typed not in (None, tensor.data_type) or have != stored_bytes(tensor.data_type, count):
        raise ModelError(
            "frontend.bad-tensor",
            f"{have} bytes of data do not fit type {tensor.data_type} and {count} elements",
            location=Location(file, tensor=printable(tensor.name)),
        )


def _all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in graphs_of(model):
        yield from graph.initializer
    for body in (model.graph.node, *(f.node for f in model.functions)):
        for node, _ in all_nodes(body):
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def _check(model: onnx.ModelProto, file: str) -> None:
    """The ONNX checker's opinion, on a copy whose large and external tensors are empty."""
    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(model)
    for tensor in _all_tensors(skeleton):
        if tensor.data_location == TensorProto.EXTERNAL:
            for field in ("data_location", "external_data", "dims"):
                tensor.ClearField(field)
            tensor.dims.append(0)
    for graph in graphs_of(skeleton):
        for value in (*graph.input, *graph.output):  # onnxruntime needs no shapes, the checker does
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.shape.SetInParent()
        for value in graph.output:
            if not value.HasField("type"):
                value.type.tensor_type.elem_type = TensorProto.FLOAT
                value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(skeleton, full_check=False)
    except Exception as error:  # the checker also leaks ValueError, UnicodeDecodeError and RuntimeError
        first = str(error).strip().split("\n\n")[0]
        raise ModelError(
            "frontend.invalid-model",
            f"the ONNX checker refuses the model: {printable(' '.join(first.split()), 400)}",
            location=Location(file=file),
        ) from None


def _inline(model: onnx.ModelProto, check: StructureCheck) -> onnx.ModelProto:
    """Expand the calls of local functions; those of another operator set version are converted."""
    if not model.functions:
        return model
    from onnx import inliner

    for convert in (False, True):
        try:
            inlined = inliner.inline_local_functions(model, convert)
        except Exception as error:  # native code: any type
            raise check.error(
                "frontend.function-inlining",
                f"the model's functions cannot be inlined: {printable(str(error), 300)}",
            ) from None
        local = {(domain_of(f.domain), f.name) for f in inlined.functions}
        if not any((domain_of(n.domain), n.op_type) in local for n, _ in all_nodes(inlined.graph.node)):
            del inlined.functions[:]
            return inlined
    raise check.error(
        "frontend.function-inlining",
        "a function uses an operator set version that cannot be converted to the model's",
        hint="export with one operator set version for the model and its functions",
    )
