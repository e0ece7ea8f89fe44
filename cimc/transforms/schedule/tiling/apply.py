"""Carries out what :mod:`cimc.transforms.schedule.tiling.plan` decided: operations on parts instead of on
whole values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from xdsl import ir
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.errors import InfeasibleError, Shortage
from cimc.frontend.export_graph import opset_of
from cimc.ir import cim, rec
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.onnx.attributes import dense_from_array
from cimc.ir.types import symbol, tensor
from cimc.remarks import CutOperation
from cimc.target.spec import Target
from cimc.transforms.schedule.tiling.plan import Cut, Plan, bytes_of, chunk, contracted, parts
from cimc.transforms.schedule.tiling.regions import Region, computed, needed, whole, widened

_SUMS = {"max": "max", "min": "min"}


def split_large(
    module: ModuleOp,
    function: FuncOp,
    data: CompilerContext,
    target: Target,
    stages: Callable[[FuncOp], dict[Operation, int]],
) -> list[CutOperation]:
    """Rewrite ``function`` so that every operation on the chip fits a scratchpad.

    Returns what was cut, for the report.  ``stages`` gives the stage of every operation, even on the chip.

    Raises:
        InfeasibleError: for an operation that cannot be cut small enough.
    """
    found = stages(function)
    report: list[CutOperation] = []
    for stage in sorted({s for s in found.values() if s % 2 == 0}):
        ops = [
            o
            for o, s in found.items()
            if s == stage and not isinstance(o, rec.ConstantOp) and len(o.results) == 1
        ]

        def leaves(value: SSAValue, here: int = stage) -> bool:
            users = [use.operation for use in value.uses]
            return any(found.get(u, -1) != here or isinstance(u, rec.HostOp | ReturnOp) for u in users)

        chip = [o for o in ops if not isinstance(o, rec.HostOp)]
        plan = Plan(chip, leaves, target.tile.scratchpad_bytes, target.n_tiles)
        if plan.stuck:
            raise too_large(plan.stuck[0], target)
        if plan.roots:
            report += _Splitter(module, data, plan).run()
    return report


def too_large(op: Operation, target: Target) -> InfeasibleError:
    """The error for an operation that no cut brings into a scratchpad."""
    operands = {v: bytes_of(v) for v in op.operands}
    return InfeasibleError(
        Shortage(
            "scratchpad",
            bytes_of(op.results[0]) + sum(operands.values()),
            target.tile.scratchpad_bytes,
            "bytes",
            ("a target with a larger tile.scratchpad_bytes", "fewer features per request"),
        ),
        subject=f"{onnx.name_of(op) or op.name}",
    )


@dataclass(frozen=True)
class _Grid:
    """A value in parts: how it was cut, and the value of each region."""

    cut: Cut
    values: dict[Region, SSAValue]


class _Splitter:
    def __init__(self, module: ModuleOp, data: CompilerContext, plan: Plan) -> None:
        self.data, self.plan = data, plan
        self.opset = opset_of(module).get("", 17) if "onnx.opset" in module.attributes else 17
        self.constants: dict[tuple[SSAValue, Region], SSAValue] = {}
        self.sliced: dict[tuple[SSAValue, Region], SSAValue] = {}
        self.local: dict[tuple[SSAValue, Region], SSAValue] = {}
        self.apart: dict[SSAValue, _Grid] = {}
        self.root: Operation = plan.ops[0]

    def run(self) -> list[CutOperation]:
        for op, cut in self.plan.roots.items():
            for value, regions in self._from_outside(op, cut).items():
                self._slice_on_host(value, regions, op)
        report: list[CutOperation] = []
        for op, cut in self.plan.roots.items():
            self._split(op, cut)
            report.append(CutOperation(onnx.name_of(op) or op.name, cut.parts))
        for op in reversed(self.plan.ops):
            if not any(True for _ in op.results[0].uses):
                Rewriter.erase_op(op)
        return report

    # -- roots --------------------------------------------------------------------------------------

    def _split(self, op: Operation, cut: Cut) -> None:
        self.root, result = op, op.results[0]
        made: list[SSAValue] = []
        for region in cut.regions(result):
            self.local = {}
            made.append(self._root_region(op, region, cut))
        if result in self.plan.apart:
            self.apart[result] = _Grid(cut, dict(zip(cut.regions(result), made, strict=True)))
            if not self.plan.leaves(result):
                return
        large = self.plan.too_large(result) and self.plan.leaves(result)
        joined = self._join_on_host(result, cut, made) if large else self._join(result, cut, made)
        joined.name_hint = result.name_hint
        kept = set(self.plan.ops)
        result.replace_uses_with_if(joined, lambda use: not large or use.operation not in kept)

    def _root_region(self, op: Operation, region: Region, cut: Cut) -> SSAValue:
        wide = widened(op, region)
        regions = needed(op, wide)
        if cut.chunks == 1:
            return self._narrowed(self._made(op, wide, regions), wide, region)
        spans = parts(contracted(op), cut.chunks)
        total: SSAValue | None = None
        for span in spans:
            self.local = {}
            part = self._chunk(op, wide, chunk(op, regions, span))
            kind = _SUMS.get(op.kind.data, "add") if isinstance(op, rec.ReduceOp) else "add"
            total = part if total is None else self._add(rec.BinaryOp(kind, total, part))
        assert total is not None
        if isinstance(op, rec.ReduceOp) and op.kind.data == "mean":
            axes = rec.unpack(op.axes)
            count = int(np.prod([rec.shape(op.x)[a] for a in axes], dtype=np.int64))
            rank = len(rec.shape(total))
            array = np.full((1,) * rank, count, np.float32)
            name = self.data.store.add(f"number.{float(count)}.r{rank}", array)
            total = self._add(
                rec.BinaryOp("div", total, self._add(rec.ConstantOp(name, tensor(array.shape))))
            )
        return self._narrowed(total, wide, region)

    def _chunk(self, op: Operation, region: Region, regions: Sequence[Region | None]) -> SSAValue:
        new = computed(op, region, self._operands(op, regions))
        if isinstance(op, rec.ReduceOp) and op.kind.data == "mean":
            new.properties["kind"] = StringAttr("sum")
        return self._insert(new)

    def _join(self, result: SSAValue, cut: Cut, made: list[SSAValue]) -> SSAValue:
        """The regions side by side again, innermost axes first."""
        for axis in reversed(range(len(cut.counts))):
            count = len(parts(whole(result)[axis][1], cut.counts[axis]))
            if count > 1:
                made = [
                    self._add(rec.ConcatOp(made[i : i + count], axis + 1)) for i in range(0, len(made), count)
                ]
        (whole_value,) = made
        return whole_value

    # -- regions --------------------------------------------------------------------------------------

    def _made(self, op: Operation, region: Region, regions: Sequence[Region | None]) -> SSAValue:
        operands = self._operands(op, regions)
        if isinstance(op, rec.SliceOp) or (isinstance(op, rec.ConcatOp) and len(operands) == 1):
            return operands[0]
        return self._insert(computed(op, region, operands))

    def _operands(self, op: Operation, regions: Sequence[Region | None]) -> list[SSAValue]:
        if isinstance(op, rec.EmbeddingBagOp | cim.LookupOp) and op.layout.data != "fixed":
            return list(op.operands)
        return [self._region(v, b) for v, b in zip(op.operands, regions, strict=True) if b is not None]

    def _region(self, value: SSAValue, region: Region) -> SSAValue:
        """A region of a value: computed if it does not exist as a whole, else cut out of it."""
        owner = value.owner
        if isinstance(owner, rec.ConstantOp):
            return self._of_constant(value, owner, region)
        if (value, region) in self.sliced:
            return self.sliced[value, region]
        if value in self.apart:
            if (value, region) not in self.local:
                self.local[value, region] = self._assembled(value, region)
            return self.local[value, region]
        if value not in self.plan.lazy:
            if (value, region) not in self.local:
                self.local[value, region] = self._narrowed(value, whole(value), region)
            return self.local[value, region]
        assert isinstance(owner, Operation)
        wide = widened(owner, region)
        if (value, wide) not in self.local:
            self.local[value, wide] = self._made(owner, wide, needed(owner, wide))
        return self._narrowed(self.local[value, wide], wide, region)

    def _assembled(self, value: SSAValue, region: Region) -> SSAValue:
        """A region of a value that exists in parts: what overlaps, side by side."""
        grid = self.apart[value]
        spans = [
            [r for r in parts(end, n) if r[0] < stop and start < r[1]]
            for (_, end), n, (start, stop) in zip(whole(value), grid.cut.counts, region, strict=True)
        ]
        made = []
        for part in product(*spans):
            wanted = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(part, region, strict=True))
            made.append(self._narrowed(grid.values[part], part, wanted))
        for axis in reversed(range(len(spans))):
            count = len(spans[axis])
            if count > 1:
                made = [
                    self._add(rec.ConcatOp(made[i : i + count], axis + 1)) for i in range(0, len(made), count)
                ]
        return made[0]

    def _narrowed(self, value: SSAValue, have: Region, want: Region) -> SSAValue:
        """``want`` out of a value that holds the region ``have``."""
        for axis, ((at, end), (start, stop)) in enumerate(zip(have, want, strict=True)):
            if (start, stop) != (at, end):
                value = self._add(rec.SliceOp(value, axis + 1, start - at, stop - at))
        return value

    def _of_constant(self, value: SSAValue, owner: rec.ConstantOp, region: Region) -> SSAValue:
        if region == whole(value):
            return value
        if (value, region) not in self.constants:
            name = symbol(owner.symbol)
            array = self.data.store[name].reshape(rec.shape(value))
            part = np.ascontiguousarray(array[(slice(None), *(slice(*r) for r in region))])
            spans = ",".join(f"{a}:{b}" for a, b in region)
            new = rec.ConstantOp(
                self.data.store.add(f"{name}[{spans}]", part), tensor(part.shape, rec.element(value))
            )
            new.location = owner.location
            Rewriter.insert_op(new, InsertPoint.after(owner))
            self.constants[value, region] = new.result
        return self.constants[value, region]

    def _add(self, op: Operation) -> SSAValue:
        op.location = self.root.location
        return self._insert(op)

    def _insert(self, op: Operation) -> SSAValue:
        Rewriter.insert_op(op, InsertPoint.before(self.root))
        return op.results[0]

    # -- over the border ----------------------------------------------------------------------------

    def _from_outside(self, op: Operation, cut: Cut) -> dict[SSAValue, dict[Region, None]]:
        """The regions of values from outside, too large to be loaded as a whole, that a root asks for."""
        found: dict[SSAValue, dict[Region, None]] = {}
        seen: set[tuple[SSAValue, Region]] = set()

        def ask(user: Operation, regions: Sequence[Region | None]) -> None:
            for value, region in zip(user.operands, regions, strict=True):
                if region is None or (value, region) in seen or isinstance(value.owner, rec.ConstantOp):
                    continue
                seen.add((value, region))
                if value in self.plan.lazy:
                    assert isinstance(value.owner, Operation)
                    ask(value.owner, needed(value.owner, widened(value.owner, region)))
                elif self.plan.too_large(value) and value not in self.plan.apart:
                    found.setdefault(value, {})[region] = None

        for region in cut.regions(op.results[0]):
            regions = needed(op, widened(op, region))
            spans = parts(contracted(op), cut.chunks) if cut.chunks > 1 else []
            for each in [chunk(op, regions, span) for span in spans] or [regions]:
                ask(op, each)
        return found

    def _slice_on_host(self, value: SSAValue, regions: dict[Region, None], user: Operation) -> None:
        """One host operation that cuts ``value`` where the chip takes it in."""
        new = [b for b in regions if (value, b) not in self.sliced]
        if not new:
            return
        body = Block(arg_types=[value.type])
        made: list[SSAValue] = []
        for region in new:
            type_ = tensor((rec.shape(value)[0], *(b - a for a, b in region)), rec.element(value))
            cut = [
                (d + 1, r) for d, (r, full) in enumerate(zip(region, whole(value), strict=True)) if r != full
            ]
            axes, starts, stops = [d for d, _ in cut], [r[0] for _, r in cut], [r[1] for _, r in cut]
            if self.opset >= 10:
                given = [
                    onnx.ConstantOp(dense_from_array(np.array(v, np.int64))) for v in (starts, stops, axes)
                ]
                body.add_ops(given)
                node = onnx.NodeOp("Slice", [body.args[0], *(g.output for g in given)], [type_])
            else:
                attrs = {"starts": rec.ints(starts), "ends": rec.ints(stops), "axes": rec.ints(axes)}
                node = onnx.NodeOp("Slice", [body.args[0]], [type_], attrs)
            body.add_op(node)
            made.append(node.outputs[0])
        body.add_op(rec.YieldOp(made))
        host = rec.HostOp(
            [value], [v.type for v in made], ir.Region(body), ["Slice: larger than a scratchpad"]
        )
        host.location = user.location
        owner = value.owner
        if isinstance(owner, Operation):
            Rewriter.insert_op(host, InsertPoint.after(owner))
        else:
            Rewriter.insert_op(host, InsertPoint.at_start(owner))
        for region, result in zip(new, host.outputs, strict=True):
            self.sliced[value, region] = result

    def _join_on_host(self, result: SSAValue, cut: Cut, made: list[SSAValue]) -> SSAValue:
        """A host operation that puts together what leaves the chip in parts."""
        body = Block(arg_types=[v.type for v in made])
        values: list[SSAValue] = list(body.args)
        for axis in reversed(range(len(cut.counts))):
            count = len(parts(whole(result)[axis][1], cut.counts[axis]))
            if count > 1:
                values = [
                    self._concat(body, values[i : i + count], axis + 1) for i in range(0, len(values), count)
                ]
        body.add_op(rec.YieldOp(values))
        host = rec.HostOp(made, [values[0].type], ir.Region(body), ["Concat: larger than a scratchpad"])
        host.location = self.root.location
        Rewriter.insert_op(host, InsertPoint.before(self.root))
        return host.outputs[0]

    def _concat(self, body: Block, values: list[SSAValue], axis: int) -> SSAValue:
        dims = list(rec.shape(values[0]))
        dims[axis] = sum(rec.shape(v)[axis] for v in values)
        node = onnx.NodeOp(
            "Concat", values, [tensor(dims, rec.element(values[0]))], {"axis": IntegerAttr(axis, 64)}
        )
        body.add_op(node)
        return node.outputs[0]
