"""``lower``: the scheduled module becomes a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from cimc.errors import PassError
from cimc.frontend.export_graph import export_host
from cimc.interpreter.evaluate import input_signature, main_function, signature
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext, compiler_context, target_of
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import symbol
from cimc.isa.artifact import canonical_json
from cimc.isa.directory import lines_of
from cimc.isa.program import ChipSegment, Header, HostSegment, Matrix, Program
from cimc.isa.verify import verify_program
from cimc.remarks.corpus_remarks import CorpusRemarks
from cimc.support.plugins.origin import records
from cimc.transforms.codegen import emit_cim, emit_rec
from cimc.transforms.codegen.chip_segment import Segment, Shared
from cimc.transforms.codegen.searches_of import searched
from cimc.transforms.schedule.schedule import STAGE_ATTR

EMITTERS = {**emit_cim.EMITTERS, **emit_rec.EMITTERS}


@dataclass(frozen=True)
class Lower(ModulePass):
    """Emit the program: per-tile instruction streams, host segments, matrix directory and constants.

    The module itself stays as it is; the program goes to the compilation context.  The streams are verified
    before the pass returns.

    Precondition: a scheduled module.
    """

    name = "lower"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        data = compiler_context(ctx, self.name)
        target = target_of(data, self.name)
        program = _Lowering(op, data).program()
        verify_program(program, target)
        data.program = program


class _Lowering:
    def __init__(self, module: ModuleOp, data: CompilerContext) -> None:
        self.module, self.data = module, data
        self.function: FuncOp = main_function(module)
        self.inputs, self.outputs = signature(self.function)
        self.matrices = cim.matrices_of(module)
        self.stages: dict[Operation, int] = {}
        self.program_data: dict[str, Any] = {}
        for op in self.function.body.block.ops:
            stage = op.attributes.get(STAGE_ATTR)
            if isinstance(stage, IntegerAttr):
                self.stages[op] = stage.value.data
            elif not isinstance(op, ReturnOp | rec.ConstantOp):
                raise PassError(
                    "pass.needs-schedule",
                    f"{op.name} has no {STAGE_ATTR} yet, which pass 'schedule' decides",
                    hint="run 'schedule' before",
                )
        numbers = {o.symbol: n for n, o in enumerate(self.matrices)}
        rows = {o.symbol: o.rows.value.data for o in self.matrices}
        names: dict[SSAValue, str] = dict(zip(self.function.body.block.args, self.inputs, strict=True))
        target = target_of(data, Lower.name)
        instances = cim.instances_of(module, data.store)
        self.shared = Shared(data.store, numbers, rows, self.stages, names, target, instances)

    def program(self) -> Program:
        segments: list[ChipSegment | HostSegment] = []
        for stage in sorted(set(self.stages.values())):
            ops = [o for o, s in self.stages.items() if s == stage]
            if stage % 2 == 0:
                segments.append(Segment(self.shared, stage, ops).build(EMITTERS))
            else:
                segments.extend(self.host(o) for o in ops if isinstance(o, rec.HostOp))
        end = self.function.body.block.last_op
        assert isinstance(end, ReturnOp)
        kinds = input_signature(self.function)
        target = self.data.target
        assert target is not None
        header = Header(
            model=self.data.model, model_digest=self.data.model_digest,
            target=target.name, target_digest=target.digest,
            target_json=canonical_json(target.model_dump(mode="json")),
            pipeline=self.data.pipeline, seed=self.data.seed, inputs=tuple(kinds),
            outputs=tuple((n, self.shared.name(v)) for n, v in zip(self.outputs, end.arguments, strict=True)),
            notes=tuple(self.data.notes), plugins=records(self.data.plugins),
        )  # fmt: skip
        matrices = tuple(self.matrix(m) for m in self.matrices)
        constants = self.shared.constants.array()
        found = searched(self.function, self.shared)
        if found:
            self.data.remark(CorpusRemarks(found))
        return Program(header, tuple(segments), matrices, constants, self.program_data, self.data.remarks)

    def matrix(self, op: cim.MatrixOp) -> Matrix:
        store, name = self.data.store, op.symbol
        op.placement()
        parts: dict[str, NDArray[Any] | None] = {
            "data": store[symbol(op.data)],
            "blocks": op.block_table(store),
            "replicas": op.replica_table(store) if op.find(cim.ReplicasOp) else None,
        }
        pooled, inputs = 1, (0, False)
        if isinstance(op, cim.WeightsOp):
            inputs = op.inputs
            parts["ranges"] = op.adc().steps.array(store, np.int32)
            parts["certificate"] = op.adc().certificate.array(store, np.uint8)
        elif isinstance(op, cim.CorpusOp):
            inputs = op.inputs
            parts["ranges"] = op.adc().steps.array(store, np.int32)
            parts["lines"] = lines_of(op.shards().count, op.shards().stacked, op.cols.value.data)
            parts["row_scales"] = None if op.row_scales is None else store[symbol(op.row_scales)]
            parts["row_biases"] = None if op.row_biases is None else store[symbol(op.row_biases)]
        elif isinstance(op, cim.TableOp):
            pooled = op.pooling().rows.value.data
            parts["ranges"] = np.array([op.pooling().step.value.data], np.int32)
            parts["slots"] = op.slots(store)
            parts["row_scales"] = None if op.row_scales is None else store[symbol(op.row_scales)]
            parts["row_biases"] = None if op.row_biases is None else store[symbol(op.row_biases)]
        self.program_data |= {f"{name}.{part}": a for part, a in parts.items() if a is not None}
        assert self.data.target is not None
        return Matrix(
            name=name, kind=op.kind, rows=op.rows.value.data, cols=op.cols.value.data,
            bits=op.bits.value.data, slices=op.shards().slices.value.data,
            block_rows=self.data.target.array.rows, pool_rows=pooled,
            input_bits=inputs[0], input_signed=inputs[1],
        )  # fmt: skip

    def host(self, op: rec.HostOp) -> HostSegment:
        model = export_host(op, self.data)
        key = f"host{sum(k.startswith('host') for k in self.program_data)}"
        self.program_data[key] = np.frombuffer(model.SerializeToString(deterministic=True), np.uint8)
        return HostSegment(
            key,
            tuple((i.name, self.shared.name(v)) for i, v in zip(model.graph.input, op.inputs, strict=True)),
            tuple((o.name, self.shared.name(v)) for o, v in zip(model.graph.output, op.outputs, strict=True)),
            tuple(r.data for r in op.reasons or ()),
            sum(isinstance(o, onnx.NodeOp) for o in op.body.block.ops),
        )
