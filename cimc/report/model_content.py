"""What a model contains, and where each of its nodes would go: the report of ``cimc inspect``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Operation

from cimc.analysis.demand import demand_of
from cimc.cost.on_chip import OnChip, on_chip_of_remarks
from cimc.frontend.read.load_model import LoadedModel
from cimc.ir import rec
from cimc.ir.context import CompilerContext
from cimc.ir.onnx import dialect as onnx
from cimc.ir.types import element_from_onnx, element_of, element_to_dtype, is_float, shape_of, symbol
from cimc.remarks import json_of
from cimc.report.blocks import Block, facts, table
from cimc.report.on_chip_share import on_chip_blocks
from cimc.report.screen.alike import shape_text, together
from cimc.support.quantities import count, percent, size
from cimc.target.spec import Target

ARRAYS, VECTOR, HOST, GONE = "arrays", "vector unit", "host", "compiled away"
PLACES = (ARRAYS, VECTOR, HOST, GONE)
"""Where a node can go; ``compiled away``: folded into a constant, or a part of what another node became."""

_MISSES_SHOWN = 20


@dataclass(frozen=True)
class Node:
    """One ONNX node: its operator, where it goes, what it becomes there, and for the host the reason."""

    node: str
    op: str
    place: str
    becomes: str
    reason: str


@dataclass(frozen=True)
class Imported:
    """What is read off a module before any pass changes it."""

    nodes: tuple[tuple[str, str], ...]
    nested: int
    inputs: tuple[dict[str, Any], ...]
    outputs: tuple[dict[str, Any], ...]
    opset: dict[str, int]
    parameters: int
    parameter_bytes: int


def read_imported(module: ModuleOp, loaded: LoadedModel) -> Imported:
    """Read a module just imported from ``loaded``; parameters are its floating-point initialisers."""
    function = _main(module)
    block = function.body.block
    nodes = [o for o in block.ops if isinstance(o, onnx.NodeOp)]
    every = sum(isinstance(o, onnx.NodeOp) for o in function.walk())
    end = block.last_op
    assert isinstance(end, ReturnOp)
    dims = function.attributes.get("onnx.dims")
    labels = [_texts(d) for d in dims] if isinstance(dims, ArrayAttr) else [[] for _ in block.args]
    names = _texts(function.attributes.get("onnx.inputs"))
    results = _texts(function.attributes.get("onnx.outputs"))
    floats = [(prod(t.dims), e) for t in loaded.proto.graph.initializer if (e := _float_of(t.data_type))]
    return Imported(
        tuple((onnx.name_of(o) or o.kind, o.kind) for o in nodes),
        every - len(nodes),
        tuple(_value(n, a.type, d) for n, a, d in zip(names, block.args, labels, strict=True)),
        tuple(_value(n, v.type, ()) for n, v in zip(results, end.arguments, strict=True)),
        {
            text.rpartition(":")[0] or "ai.onnx": int(text.rpartition(":")[2])
            for text in _texts(module.attributes.get("onnx.opset"))
        },
        sum(number for number, _ in floats),
        sum(number * element_to_dtype(element).itemsize for number, element in floats),
    )


def _float_of(data_type: int) -> Attribute | None:
    element = element_from_onnx(data_type)
    return element if element is not None and is_float(element) else None


def _main(module: ModuleOp) -> FuncOp:
    return next(op for op in module.body.block.ops if isinstance(op, FuncOp))


def _texts(attr: Attribute | None) -> list[str]:
    return [a.data for a in attr if isinstance(a, StringAttr)] if isinstance(attr, ArrayAttr) else []


def _value(name: str, type_: Attribute, labels: list[str] | tuple[str, ...]) -> dict[str, Any]:
    shape, element = shape_of(type_), element_of(type_)
    shown = None
    if shape is not None:
        padded = [*labels, *[""] * len(shape)]
        shown = [e if e >= 0 else label or "?" for e, label in zip(shape, padded, strict=False)]
    return {"name": name, "dtype": element_to_dtype(element).name if element else None, "shape": shown}


def inspect_json(
    imported: Imported, module: ModuleOp, ctx: CompilerContext, target: Target | None
) -> dict[str, Any]:
    """The object of ``cimc inspect --json``; ``module`` has been through ``outline-host``."""
    found = _nodes(imported, module, ctx)
    tables, layers = _tables(module, ctx), _layers(module)
    said = ctx.remarks.recognition
    kinds: dict[str, Counter[str]] = {}
    for node in found:
        kinds.setdefault(node.op, Counter())[node.place] += 1
    return {
        "model": ctx.model or None,
        "model_digest": ctx.model_digest or None,
        "opset": imported.opset,
        "inputs": list(imported.inputs),
        "outputs": list(imported.outputs),
        "parameters": imported.parameters,
        "parameter_bytes": imported.parameter_bytes,
        "nodes": [asdict(node) for node in found],
        "nested_nodes": imported.nested,
        "places": {place: sum(node.place == place for node in found) for place in PLACES},
        "kinds": {kind: dict(kinds[kind]) for kind in sorted(kinds)},
        "tables": tables,
        "layers": layers,
        "macs": sum(layer["macs"] for layer in layers),
        "on_chip": on_chip_of_remarks(ctx.remarks).to_json(),
        "host_segments": sum(isinstance(o, rec.HostOp) for o in _main(module).body.block.ops),
        "misses": [] if said is None else [json_of(each) for each in said.misses],
        "target": _fit(module, target) if target is not None else None,
        "notes": list(ctx.notes),
    }


def _nodes(imported: Imported, module: ModuleOp, ctx: CompilerContext) -> list[Node]:
    became: dict[str, tuple[str, str]] = {}
    for op in _main(module).body.block.ops:
        if isinstance(op, rec.HostOp):
            for inner in op.body.block.ops:
                _note(became, inner, HOST, "onnxruntime")
        else:
            heavy = isinstance(op, rec.EmbeddingBagOp | rec.LinearOp | rec.SearchOp)
            _note(became, op, ARRAYS if heavy else VECTOR, op.name)
    said = ctx.remarks.recognition
    reasons = {} if said is None else said.reasons
    out = []
    for name, kind in imported.nodes:
        place, becomes = became.get(name, (GONE, ""))
        out.append(Node(name, kind, place, becomes, reasons.get(name, "") if place == HOST else ""))
    return out


def _note(became: dict[str, tuple[str, str]], op: Operation, place: str, name: str) -> None:
    """A node that became several operations goes where the weightiest of them goes: the arrays."""
    node = onnx.name_of(op)
    if node is not None and became.get(node, ("", ""))[0] != ARRAYS:
        became[node] = (place, name)


def _tables(module: ModuleOp, ctx: CompilerContext) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for op in _main(module).body.block.ops:
        if not isinstance(op, rec.EmbeddingBagOp):
            continue
        name = symbol(op.table)
        entry = found.setdefault(
            name,
            {
                "name": name,
                "rows": op.rows.value.data,
                "dim": op.dim.value.data,
                "bytes": int(ctx.store[name].nbytes),
                "bags": [],
            },
        )
        entry["bags"].append(
            {
                "node": onnx.name_of(op),
                "mode": op.mode.data,
                "layout": op.layout.data,
                "weighted": op.weights is not None,
            }
        )
    return list(found.values())


def _layers(module: ModuleOp) -> list[dict[str, Any]]:
    """Operations that multiply and accumulate, with MACs per request."""
    out = []
    for op in _main(module).body.block.ops:
        if isinstance(op, rec.LinearOp):
            dims, units = rec.shape(op.x), op.units.value.data
            vectors = prod(dims[1:-1])
            out.append(_layer(symbol(op.weight), "linear", op, dims[-1], units, vectors, ARRAYS))
        elif isinstance(op, rec.SearchOp):
            items = op.items.value.data
            out.append(_layer(symbol(op.corpus), "search", op, rec.shape(op.x)[-1], items, 1, ARRAYS))
        elif isinstance(op, rec.DotInteractionOp):
            dims = rec.shape(op.x)
            out.append(_layer("", "dot interaction", op, dims[-1], len(rec.unpack(op.lhs)), 1, VECTOR))
        elif isinstance(op, rec.MatmulOp):
            a, b = rec.shape(op.a), rec.shape(op.b)
            out.append(_layer("", "matmul", op, a[-1], b[-1], prod(a[1:-1]), VECTOR))
    return out


def _layer(
    name: str, kind: str, op: Operation, rows: int, cols: int, vectors: int, place: str
) -> dict[str, Any]:
    return {
        "name": name or onnx.name_of(op) or kind,
        "node": onnx.name_of(op),
        "kind": kind,
        "rows": rows,
        "cols": cols,
        "vectors": vectors,
        "macs": rows * cols * vectors,
        "place": place,
    }


def _fit(module: ModuleOp, target: Target) -> dict[str, Any]:
    """Arrays and chips that the model takes at 8 bits: exact for layers, at least that many for tables."""
    need = demand_of(module, target)
    return {
        "name": target.name,
        "digest": target.digest,
        "weights_8b": need.layer_weights + need.table_weights,
        "weight_capacity_8b": target.weight_capacity(8),
        "layer_arrays": need.layer_arrays,
        "table_arrays_at_least": need.table_arrays,
        "arrays_at_least": need.arrays,
        "arrays": target.n_arrays,
        "chips_at_least": need.chips,
        "chips": target.system.chips,
        "may_fit": need.arrays <= target.n_arrays,
    }


def inspect_blocks(payload: dict[str, Any], every_node: bool) -> list[Block]:
    """The same for people; ``every_node`` lists all nodes, not only those that stay on the host."""
    out: list[Block] = [
        _head(payload),
        *on_chip_blocks(OnChip.from_json(payload["on_chip"])),
        _values(payload),
    ]
    kinds = payload["kinds"]
    out.append(
        table(
            "Nodes by operator, and where they would go",
            ("operator", *(f">{place}" for place in PLACES)),
            (
                (kind, *(places.get(place, 0) or "-" for place in PLACES))
                for kind, places in sorted(kinds.items(), key=lambda item: (-sum(item[1].values()), item[0]))
            ),
        )
    )
    out += [_table_block(payload), _layer_block(payload)]
    hosted: dict[tuple[str, str], list[str]] = {}
    for node in payload["nodes"]:
        if node["place"] == HOST:
            hosted.setdefault((node["op"], node["reason"] or "-"), []).append(node["node"])
    if hosted:
        out.append(
            table(
                f"On the host: {payload['places'][HOST]} nodes in {payload['host_segments']} segments",
                ("operator", ">nodes", "why", "first of them"),
                ((op, len(names), why, names[0]) for (op, why), names in hosted.items()),
            )
        )
    missed = payload["misses"] if every_node else payload["misses"][:_MISSES_SHOWN]
    if missed:
        more = len(payload["misses"]) - len(missed)
        out.append(
            table(
                f"Nearly recognised{f' ({more} more with --nodes)' if more else ''}",
                ("node", "recogniser", "condition that failed"),
                ((m["node"], m["recogniser"], m["reason"]) for m in missed),
            )
        )
    if every_node:
        out.append(
            table(
                "Every node",
                ("node", "operator", "place", "becomes"),
                ((n["node"], n["op"], n["place"], n["becomes"] or "-") for n in payload["nodes"]),
            )
        )
    return out


def _head(payload: dict[str, Any]) -> Block:
    places = ", ".join(f"{number} {place}" for place, number in payload["places"].items())
    nested = f", and {payload['nested_nodes']} inside of loops and ifs" if payload["nested_nodes"] else ""
    lines: list[tuple[str, object]] = [
        ("model", f"{payload['model']} ({str(payload['model_digest'])[:12]})"),
        ("opset", ", ".join(f"{domain} {version}" for domain, version in payload["opset"].items())),
        ("parameters", f"{count(payload['parameters'])} floats, {size(payload['parameter_bytes'])}"),
        ("nodes", f"{len(payload['nodes'])}: {places}{nested}"),
    ]
    fit = payload["target"]
    if fit is not None:
        share = fit["weights_8b"] / max(fit["weight_capacity_8b"], 1)
        chips = f"{count(fit['chips_at_least'])} chip{'s' * (fit['chips_at_least'] != 1)}"
        lines += [
            ("target", fit["name"]),
            ("", f"{count(fit['weights_8b'])} 8-bit weights, {percent(share)} of its capacity"),
            (
                "",
                f"needs at least {count(fit['arrays_at_least'])} arrays = {chips} of {fit['name']} "
                f"(has {count(fit['chips'])}): {'may fit' if fit['may_fit'] else 'cannot fit'}",
            ),
            (
                "",
                f"{count(fit['layer_arrays'])} arrays for layers, at least "
                f"{count(fit['table_arrays_at_least'])} for tables, of {count(fit['arrays'])}",
            ),
        ]
    return facts("Model", [*lines, *(("note", text) for text in payload["notes"])])


def _values(payload: dict[str, Any]) -> Block:
    rows = [
        (side, v["name"], v["dtype"] or "?", shape_text(v["shape"]))
        for side, key in (("input", "inputs"), ("output", "outputs"))
        for v in payload[key]
    ]
    return table("Inputs and outputs", ("", "name", "dtype", "shape"), together(rows, name=1))


def _table_block(payload: dict[str, Any]) -> Block:
    def use(bag: dict[str, Any]) -> str:
        return f"{bag['mode']} {bag['layout']}{' weighted' if bag['weighted'] else ''}"

    return table(
        "Tables",
        ("name", ">rows", ">dim", ">size", ">bags", "pooling and layout of ids"),
        together(
            (
                t["name"],
                count(t["rows"]),
                t["dim"],
                size(t["bytes"]),
                len(t["bags"]),
                ", ".join(dict.fromkeys(use(b) for b in t["bags"])),
            )
            for t in payload["tables"]
        ),
    )


def _layer_block(payload: dict[str, Any]) -> Block:
    """A line per layer: a recurrent one multiplies by the same weights at every step."""
    same = ("name", "kind", "rows", "cols", "vectors", "place")
    uses = Counter(tuple(e[k] for k in same) for e in payload["layers"])
    return table(
        "Layers",
        ("name", "kind", ">in", ">out", ">uses", ">vectors", ">MACs", "place"),
        together(
            (name, kind, rows, cols, n, n * vectors, count(n * rows * cols * vectors), place)
            for (name, kind, rows, cols, vectors, place), n in uses.items()
        ),
    )
