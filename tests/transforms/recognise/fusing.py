"""Builds small ONNX models from text, fuses them, and compares with onnxruntime."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, parser
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from cimc.frontend.import_graph import import_model
from cimc.frontend.read.load_model import load_model
from cimc.host.runtime import run_onnx
from cimc.interpreter.evaluate import evaluate, main_function
from cimc.ir.context import CompilerContext
from cimc.ir.text import new_context, parse_ir, print_ir
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline

Arrays = dict[str, NDArray[Any]]


def model(text: str, weights: Arrays | None = None, *, opset: int = 18) -> onnx.ModelProto:
    """``text`` is a graph in ONNX's text syntax; ``weights`` become initialisers."""
    header = f'<ir_version: 8, opset_import: ["" : {opset}]>\n'
    proto = parser.parse_model(header + text)
    for name, array in (weights or {}).items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return proto


def imported(proto: onnx.ModelProto) -> tuple[ModuleOp, CompilerContext]:
    """The model as an ``onnx`` module."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        ctx = new_context()
        return import_model(load_model(path), ctx), ctx


@dataclass
class Fused:
    """A model after ``outline-host``."""

    proto: onnx.ModelProto
    module: ModuleOp
    ctx: CompilerContext

    @property
    def function(self) -> FuncOp:
        return main_function(self.module)

    def ops(self, name: str = "rec.") -> list[Operation]:
        """Operations of the function whose name starts with ``name``."""
        return [o for o in self.function.body.block.ops if o.name.startswith(name)]

    def counts(self) -> Counter[str]:
        """How many operations of each kind there are, without their dialect."""
        return Counter(o.name.removeprefix("rec.") for o in self.ops())

    def reasons(self) -> dict[str, str]:
        """Why each node on the host is there, by operator."""
        return {h.op: h.reason for h in self.ctx.remarks.recognition.host}

    def misses(self) -> list[str]:
        """What nearly matched, as ``recogniser: reason``."""
        return [f"{m.recogniser}: {m.reason}" for m in self.ctx.remarks.recognition.misses]

    def check(self, inputs: Arrays, tolerance: float = 1e-5) -> None:
        """Outputs equal those of onnxruntime on the original, and the IR survives its text form."""
        expected = run_onnx(self.proto, inputs)
        actual = evaluate(self.module, self.ctx, inputs)
        assert list(actual) == list(expected)
        for name, array in expected.items():
            assert actual[name].dtype == array.dtype
            np.testing.assert_allclose(actual[name], array, rtol=tolerance, atol=tolerance)
        text = print_ir(self.module)
        assert print_ir(parse_ir(text, self.ctx)) == text


def recognise(
    module: ModuleOp, ctx: CompilerContext, only: Sequence[str] = (), *, vector: bool = False
) -> None:
    """From ``onnx`` to ``rec`` in place, as the default pipeline does behind ``canonicalize``.

    With some recognisers ``only``, composites stay whole and the batch stays where it is.
    """
    skipped = ["canonicalize", *(["expand-composites", "batch-major"] if only else [])]
    options = {"demote": f"{{vector={str(vector).lower()}}}"}
    if only:
        options["recognise"] = f"{{only={','.join(only)}}}"
    names = [name for name in FRONTEND.split(",") if name not in skipped]
    Pipeline.parse(",".join(name + options.get(name, "") for name in names)).run(module, ctx)


def fuse(proto: onnx.ModelProto, only: tuple[str, ...] = ()) -> Fused:
    """Import and fuse a model."""
    module, ctx = imported(proto)
    recognise(module, ctx, only)
    return Fused(proto, module, ctx)


def fused(text: str, weights: Arrays | None = None, *, opset: int = 18) -> Fused:
    """Fuse the model that ``text`` describes; see :func:`model`."""
    return fuse(model(text, weights, opset=opset))


def floats(*dims: int, seed: int = 0) -> NDArray[np.float32]:
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(dims).astype(np.float32)
