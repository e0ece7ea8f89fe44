"""ONNX's standard interface to executors, ``onnx.backend.base.Backend``, over the compiler and simulator.

    from cimc.backend import CimBackend

    outputs = CimBackend.run_model(model, inputs)

A program's quantisation ranges come from requests.  Where :meth:`CimBackend.prepare` is given none
(``calib``), compilation waits for the first inputs and calibrates on these.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.backend.base import Backend, BackendRep

from cimc.api import Program, compile
from cimc.errors import RequestError
from cimc.ir.context import Requests
from cimc.sim.executor import Mode
from cimc.support.once import Once
from cimc.target.spec import Target
from cimc.transforms.passes import DEFAULT_PIPELINE

Array = NDArray[Any]
Inputs = Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True)
class Options:
    """How a model is compiled and run.

    Attributes:
        target: name of a preset, path of a description, or a target.
        pipeline: passes with their options.
        mode: ``exact`` (integers) or ``adc`` (bit slices, input phases and ADC).
        calib: requests that set quantisation ranges; the first inputs by default.
        seed: of everything random.
    """

    target: str | Target = "tsinghua28"
    pipeline: str = DEFAULT_PIPELINE
    mode: Mode = "exact"
    calib: Requests | None = None
    seed: int = 0


@dataclass
class CimRep(BackendRep):
    """A model together with how to compile it; a program once it has been compiled.

    Attributes:
        model: the model, with all its data inside.
        options: how it is compiled and run.
        program: the compiled program; ``None`` before the first run without calibration requests.
    """

    model: onnx.ModelProto
    options: Options = field(default_factory=Options)
    program: Program | None = None
    _compiled: Once[str, Program] = field(default_factory=Once, init=False, repr=False, compare=False)

    def run(self, inputs: Inputs, **kwargs: Any) -> tuple[Array, ...]:
        """Outputs in the order of the graph.

        Args:
            inputs: arrays in the order of the graph's inputs (those that are no initialisers), or by name.
            kwargs: none are known.

        Raises:
            RequestError: ``request.unknown-option``, ``request.too-many-inputs``, or as ``Program.run``.
            CimcError: as ``cimc.compile``, at the first run without calibration requests.
        """
        _no_others(kwargs)
        named = self.named(inputs)
        result = self.compiled(named).run(named, self.options.mode)
        return tuple(result.outputs[output.name] for output in self.model.graph.output)

    def named(self, inputs: Inputs) -> Requests:
        """``inputs`` by name; scalars and ``TensorProto`` messages become arrays."""
        if not isinstance(inputs, Mapping):
            weights = {tensor.name for tensor in self.model.graph.initializer}
            names = [value.name for value in self.model.graph.input if value.name not in weights]
            if len(inputs) > len(names):
                raise RequestError(
                    "request.too-many-inputs", f"{len(inputs)} inputs given, the model has {len(names)}"
                )
            inputs = dict(zip(names, inputs, strict=False))
        return {name: as_array(value) for name, value in inputs.items()}

    def compiled(self, calib: Requests) -> Program:
        """The program, compiled now if it is not yet."""
        if self.program is None:  # threads that ask at the same time are given the same one
            self.program = self._compiled.get(
                "", lambda _: self._compile(calib if self.options.calib is None else self.options.calib)
            )
        return self.program

    def _compile(self, calib: Requests) -> Program:
        o = self.options
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(self.model.SerializeToString())
            return compile(path, o.target, calib, o.pipeline, seed=o.seed)


class CimBackend(Backend):
    """Runs ONNX models on the simulated machine; parts that the chip cannot do run in onnxruntime."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> CimRep:
        """A model ready to run.

        Args:
            model: with all its data inside (no external data).
            device: ``CPU``: the simulator, and onnxruntime for host segments, run there.
            kwargs: fields of :class:`Options`.

        Raises:
            RequestError: ``request.unknown-option``; ``request.unknown-device``.
            CimcError: as ``cimc.compile``, when ``calib`` is given.
        """
        if not cls.supports_device(device):
            raise RequestError("request.unknown-device", f"device '{device}': the simulator runs on CPU")
        known = {key: kwargs.pop(key) for key in list(kwargs) if key in Options.__dataclass_fields__}
        _no_others(kwargs)
        rep = CimRep(model, Options(**known))
        if rep.options.calib is not None:
            rep.compiled(rep.options.calib)
        return rep

    @classmethod
    def run_model(
        cls, model: onnx.ModelProto, inputs: Inputs, device: str = "CPU", **kwargs: Any
    ) -> tuple[Array, ...]:
        """Prepare and run once; see :meth:`prepare` and :meth:`CimRep.run`."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Inputs,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Array, ...]:
        """Run one node as a model of its own.

        Args:
            node: the node.
            inputs: arrays for its inputs that are present, in order, or by name.
            device: see :meth:`prepare`.
            outputs_info: element type and shape per output, where ONNX cannot infer them.
            kwargs: ``opset_version`` of the default domain (the newest by default); see :meth:`prepare`.
        """
        names = list(dict.fromkeys(name for name in node.input if name))
        named = inputs if isinstance(inputs, Mapping) else dict(zip(names, inputs, strict=True))
        arrays = {name: as_array(named[name]) for name in names}
        version = int(kwargs.pop("opset_version", onnx.defs.onnx_opset_version()))
        graph = onnx.helper.make_graph(
            [node],
            "node",
            [_value_info(name, a.dtype, a.shape) for name, a in arrays.items()],
            [onnx.ValueInfoProto(name=name) for name in node.output if name],
        )
        if outputs_info is not None:
            for value, (dtype, shape) in zip(graph.output, outputs_info, strict=True):
                value.CopyFrom(_value_info(value.name, np.dtype(dtype), shape))
        model = onnx.helper.make_model_gen_version(
            graph, opset_imports=[onnx.helper.make_opsetid(node.domain, version)]
        )
        if outputs_info is None:
            inferred = onnx.shape_inference.infer_shapes(model).graph
            model.graph.ClearField("output")
            model.graph.output.extend(inferred.output)
        return cls.run_model(model, arrays, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether ``device`` is the CPU, the only place the simulator runs."""
        return device.split(":")[0] == "CPU"


def as_array(value: Any) -> Array:
    """An input as numpy array."""
    return np.asarray(onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value)


def _no_others(kwargs: Mapping[str, Any]) -> None:
    if kwargs:
        raise RequestError(
            "request.unknown-option",
            f"unknown option {', '.join(sorted(kwargs))}",
            hint=f"options: {', '.join(Options.__dataclass_fields__)}",
        )


def _value_info(name: str, dtype: np.dtype[Any], shape: Sequence[int]) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(dtype), shape)


prepare = CimBackend.prepare
run_model = CimBackend.run_model
run_node = CimBackend.run_node
supports_device = CimBackend.supports_device
