"""How fast the simulator's kernels and whole programs are, against plain numpy and this machine's own limits.

    python bench/kernels.py [--only layer multibit mlp dlrm] [--json]

One process, one thread; every figure is a median of CPU time, and what is compared takes turns.  Ratios carry
over to other machines, times do not.  Results are compared for equality before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    # figures are per core; must be set before numpy loads its BLAS, and what the user has set stands
    os.environ.setdefault(_name, "1")

import sys  # noqa: E402

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

_ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_ROOT))

from cimc import api  # noqa: E402
from cimc.sim.executor import MODES, Simulator  # noqa: E402
from cimc.sim.kernels import vector_arithmetic  # noqa: E402
from cimc.sim.kernels.availability import backend  # noqa: E402
from cimc.sim.kernels.dense.mvm import DenseKernel  # noqa: E402
from cimc.target import load_target  # noqa: E402
from cimc.target.cell_encoding import encode_weights, input_phases  # noqa: E402
from cimc.transforms.partition.adc_steps import choose_ranges  # noqa: E402
from cimc.transforms.partition.shard import dense_blocks  # noqa: E402

SHAPE = (512, 256)
BATCHES = (1, 64, 2048)
MLPS = ((13, 512, 256, 64), (479, 1024, 1024, 512, 256, 1))
REQUESTS = 2048
Row = dict[str, Any]


def medians(variants: list[Callable[[], Any]], repeats: int, least: float = 0.03) -> list[float]:
    """Median CPU seconds of each variant; they take turns, each is warmed up once."""
    taken: list[list[float]] = [[] for _ in variants]
    for turn in range(repeats + 1):
        for variant, times in zip(variants, taken, strict=True):
            begin, calls = time.process_time(), 0
            while calls == 0 or time.process_time() - begin < least:
                variant()
                calls += 1
            if turn:
                times.append((time.process_time() - begin) / calls)
    return [statistics.median(times) for times in taken]


# --------------------------------------------------------------------------------------------------
# This machine


def limits(repeats: int) -> Row:
    """float32 products, and bytes loaded from the first-level cache, per second."""
    a, b = (np.ones((1024, 1024), np.float32) for _ in range(2))
    out = np.empty_like(a)
    load, times = _loads() if backend() == "numba" else None, 20_000
    cells = np.ones(1 << 14, np.uint8)
    sgemm, l1 = medians(
        [lambda: np.matmul(a, b, out=out), lambda: load(cells, times) if load else None], repeats
    )
    return {
        "sgemm_gflops": 2 * 1024**3 / sgemm / 1e9,
        "l1_gbytes_per_s": 512 * times / l1 / 1e9 if load else None,
    }


def _loads() -> Any:
    """A function that loads 512 bytes of 16 KiB so many times, and adds them to eight vectors."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    from cimc.sim.kernels import vector_ir as v

    cells = ir.VectorType(v.I8, 64)

    @intrinsic  # type: ignore[untyped-decorator]
    def loads(typing: Any, x: Any, times: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            base = v.pointer(context, builder, signature.args[0], arguments[0], ir.Constant(v.I64, 0))

            def body(index: Any, totals: list[Any]) -> list[Any]:
                block = builder.and_(
                    builder.mul(index, ir.Constant(v.I64, 512)), ir.Constant(v.I64, (1 << 14) - 1)
                )
                here = builder.gep(base, [block])
                rows = [v.load(builder, v.shifted(builder, here, 64 * i), cells, 1) for i in range(8)]
                name = "llvm.uadd.sat.v64i8"
                return [v.call(builder, name, cells, t, row) for t, row in zip(totals, rows, strict=True)]

            totals = v.loop(builder, arguments[1], [v.constant(v.I8, [0] * 64)] * 8, body)
            for i, total in enumerate(totals):
                v.store(builder, total, v.shifted(builder, base, 64 * i), 1)
            return context.get_dummy_value()

        return types.void(x, types.int64), generate

    def run(x, times):  # type: ignore[no-untyped-def]
        loads(x, times)

    from numba import njit

    return njit(run)


# --------------------------------------------------------------------------------------------------
# One layer


def plain_loop(kernel: DenseKernel, x: NDArray[np.uint8], steps: bool) -> Callable[[], NDArray[np.float32]]:
    """One float32 product and one conversion per (array, phase, slice): what one would write first.

    ``steps``: convert as an ADC of any step does; without, only clip, which is enough for steps of 1.
    """
    array = kernel.array
    code = encode_weights(kernel.weights, array.encoding, array.cell_levels, kernel.weight_bits)
    digits = code.digits.astype(np.float32)
    low, high = array.adc_codes

    def run() -> NDArray[np.float32]:
        drive = input_phases(x, kernel.plan).astype(np.float32)
        acc = np.zeros((len(x), kernel.weights.shape[1]), np.float32)
        for block, lsb in zip(kernel.blocks.tolist(), kernel.ranges.tolist(), strict=True):
            rows, cols = slice(block[0], block[0] + block[1]), slice(block[2], block[2] + block[3])
            for s, weight in enumerate(code.digit_weights.tolist()):
                for p, phase in enumerate(kernel.plan.phases):
                    codes = drive[p, :, rows] @ digits[s, rows, cols]
                    step = lsb[s][p]
                    if steps:
                        codes = np.floor((codes + (step // 2 + 0.5)) * np.float32(1 / step))
                    codes = np.clip(codes, low, high)
                    acc[:, cols] += codes * np.float32(step * phase.weight * weight)
            acc[:, cols] -= code.weight_offset * x[:, rows].sum(axis=1, dtype=np.int32)[:, None]
        return acc

    return run


def layer(repeats: int, machine: Row) -> list[Row]:
    """The 512 x 256 layer on 128-row arrays: 2-bit cells, 8 one-bit phases, an 8-bit ADC, steps of 1."""
    target = load_target("isaac32")
    array = target.array
    rng = np.random.default_rng(1)
    weights = np.clip(np.rint(rng.normal(0, 127 / 4, SHAPE)), -127, 127).astype(np.int8)
    # columns of a layer of this width lie in one block of rows, as in a plain loop over whole matrices
    blocks, _ = dense_blocks(*SHAPE, array.rows, SHAPE[1], 1 << 16)
    ranges = np.ones((len(blocks), 4, 8), np.int32)
    every = len(blocks)
    nothing = np.zeros(4 * SHAPE[1] * every // 8, np.uint8)
    certified = DenseKernel(weights, blocks, ranges, array, 8, 8, False)
    units = np.concatenate([part.reshape(-1) for part in certified.certified])
    converted = DenseKernel(weights, blocks, ranges, array, 8, 8, False, nothing)
    rows = []
    for batch in BATCHES:
        x = rng.integers(0, 256, (batch, SHAPE[0])).astype(np.uint8)
        loop, clip = (plain_loop(converted, x, steps) for steps in (True, False))
        expected = loop()
        for got in (converted.adc(x, 0, every), certified.adc(x, 0, every), clip()):
            if not np.array_equal(got, expected):
                raise AssertionError("the kernels and the plain loop disagree")
        adc, sure, slow, slow_clip = medians(
            [partial(converted.adc, x, 0, every), partial(certified.adc, x, 0, every), loop, clip], repeats
        )
        conversions = converted.conversions(0, every) * batch
        loaded = SHAPE[0] / 4 * SHAPE[1] * 4 * 8 * batch  # bytes: one per four rows, cell column and phase
        l1 = machine["l1_gbytes_per_s"]
        rows.append({
            "batch": batch,
            "adc_mvm_per_s": batch / adc,
            "adc_mconversions_per_s": conversions / adc / 1e6,
            "adc_vs_loop": slow / adc,
            "adc_vs_clip_loop": slow_clip / adc,
            "adc_share_of_l1_loads": loaded / adc / 1e9 / l1 if l1 else None,
            "certified_mvm_per_s": batch / sure,
            "certified_mconversions_per_s": conversions / sure / 1e6,
            "certified_vs_loop": slow / sure,
            "certified_vs_clip_loop": slow_clip / sure,
            "certified_vs_sgemm": 2 * SHAPE[0] * SHAPE[1] * batch / sure / 1e9 / machine["sgemm_gflops"],
            "certified_share": float(units.mean()),
        })  # fmt: skip
    return rows


def multibit(repeats: int) -> list[Row]:
    """The same layer on ``tsinghua28``, calibrated, against the float32 products that it needs."""
    target = load_target("tsinghua28")
    array, limit = target.array, target.max_weight(8)
    rng = np.random.default_rng(1)
    weights = np.clip(np.rint(rng.normal(0, limit / 4, SHAPE)), -limit, limit).astype(np.int8)
    blocks, _ = dense_blocks(*SHAPE, array.rows, target.weights_per_row(8), 1 << 16)
    samples = np.clip(rng.normal(0, 80, (256, SHAPE[0])), 0, 255).astype(np.uint8)
    kernel = DenseKernel(
        weights, blocks, choose_ranges(samples, weights, blocks, array, 8, 8, False), array, 8, 8, False
    )
    every, rows = len(blocks), []
    count = kernel.slices * len(kernel.plan.phases)
    for batch in BATCHES:
        x = np.clip(rng.normal(0, 80, (batch, SHAPE[0])), 0, 255).astype(np.uint8)
        loop = plain_loop(kernel, x, True)
        if not np.array_equal(kernel.adc(x, 0, every), loop()):
            raise AssertionError("the kernel and the plain loop disagree")
        a, b = rng.random((batch, SHAPE[0]), np.float32), rng.random(SHAPE, np.float32)
        out = np.empty((batch, SHAPE[1]), np.float32)

        def bare(a: Any = a, b: Any = b, out: Any = out) -> None:
            for _ in range(count):
                np.matmul(a, b, out=out)

        adc, products, slow = medians([partial(kernel.adc, x, 0, every), bare, loop], repeats)
        rows.append({
            "batch": batch,
            "adc_mvm_per_s": batch / adc,
            "adc_mconversions_per_s": kernel.conversions(0, every) * batch / adc / 1e6,
            "adc_over_products": adc / products,
            "products": count,
            "adc_vs_loop": slow / adc,
        })  # fmt: skip
    return rows


# --------------------------------------------------------------------------------------------------
# Programs


def _mlp(widths: tuple[int, ...], path: Path) -> None:
    import onnx
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, tensors, value = [], [], "x"
    for i, (a, b) in enumerate(pairwise(widths)):
        weight = (rng.normal(size=(b, a)) * np.sqrt(2 / a)).astype(np.float32)
        tensors += [numpy_helper.from_array(weight, f"w{i}")]
        tensors += [numpy_helper.from_array(np.full(b, 0.1, np.float32), f"b{i}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"y{i}"], transB=1))
        value = f"y{i}"
        if i < len(widths) - 2:
            nodes.append(helper.make_node("Relu", [value], [f"r{i}"]))
            value = f"r{i}"
    ends = [helper.make_tensor_value_info(n, 1, ["N", w]) for n, w in (("x", widths[0]), (value, widths[-1]))]
    graph = helper.make_graph(nodes, "mlp", ends[:1], ends[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def _time_in_kernels(simulator: Simulator, requests: dict[str, Any], mode: str) -> tuple[float, float]:
    """CPU seconds of a run that its matrix kernels take, and that all its compiled kernels take."""
    spent: dict[str, float] = {}
    places = [(DenseKernel, mode), *((vector_arithmetic, name) for name in ("quant", "dequant", "relu"))]
    real = [getattr(place, name) for place, name in places]

    def timed(function: Any, name: str) -> Any:
        def run(*args: Any, **more: Any) -> Any:
            begin = time.process_time()
            result = function(*args, **more)
            spent[name] = spent.get(name, 0.0) + time.process_time() - begin
            return result

        return run

    for (place, name), function in zip(places, real, strict=True):
        setattr(place, name, timed(function, name))
    try:
        simulator.run(requests, mode)  # type: ignore[arg-type]
    finally:
        for (place, name), function in zip(places, real, strict=True):
            setattr(place, name, function)
    return spent[mode], sum(spent.values())


def mlp(repeats: int) -> list[Row]:
    """Whole programs against the matrix kernels inside them."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for target in ("tsinghua28", "isaac32"):
            for widths in MLPS:
                path = Path(folder) / "mlp.onnx"
                _mlp(widths, path)
                rng = np.random.default_rng(1)
                samples = {"x": rng.normal(size=(256, widths[0])).astype(np.float32)}
                program = api.compile(path, target, samples)
                requests = {"x": rng.normal(size=(REQUESTS, widths[0])).astype(np.float32)}
                simulator = Simulator(program.data, program.target)
                for mode in ("exact", "adc"):
                    whole = medians([lambda: simulator.run(requests, mode)], repeats, 0.2)[0]  # type: ignore[arg-type] # noqa: B023
                    inside = [_time_in_kernels(simulator, requests, mode) for _ in range(2 * repeats)]
                    matrix, every = (statistics.median(times) for times in zip(*inside, strict=True))
                    rows.append({
                        "target": target,
                        "mlp": "-".join(map(str, widths)),
                        "mode": mode,
                        "requests_per_s": REQUESTS / whole,
                        "whole_over_kernels": whole / every,
                        "whole_over_matrix_kernels": whole / matrix,
                    })  # fmt: skip
    return rows


def dlrm(repeats: int) -> list[Row]:
    """``models/dlrm_small`` on the default target."""
    models = _ROOT / "models"
    calibration, requests = (
        dict(np.load(models / f"dlrm_small.{part}.npz")) for part in ("calib", "requests")
    )
    program = api.compile(models / "dlrm_small.onnx", calib=calibration)
    count = len(requests["dense"])
    simulator = Simulator(program.data, program.target)
    rows = []
    for mode in MODES:
        run = _noisy(simulator, requests) if mode == "noisy" else lambda: simulator.run(requests, mode)  # type: ignore[arg-type] # noqa: B023
        seconds = medians([run], repeats, 0.2)[0]
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append({"mode": mode, "requests_per_s": count / seconds, "peak_rss_mib": rss})
    return rows


def _noisy(simulator: Simulator, requests: dict[str, Any]) -> Callable[[], Any]:
    from cimc.sim.devices.model.load_device import load_device

    device = load_device("wan2022")
    return lambda: simulator.run(requests, "noisy", device=device, age=3600.0, seed=0)


# --------------------------------------------------------------------------------------------------
# Output


def _show(title: str, rows: list[Row]) -> None:
    print(f"\n{title}")
    heads = list(rows[0])
    cells = [[_cell(row[head]) for head in heads] for row in rows]
    widths = [max(len(line[i]) for line in [heads, *cells]) for i in range(len(heads))]
    for line in [heads, *cells]:
        print("  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return "-" if value is None else str(value)


def main() -> None:
    """Measure and print."""
    parts: dict[str, Callable[[], list[Row]]] = {
        "dlrm": lambda: dlrm(args.repeats),  # first: peak memory is that of the process so far
        "layer": lambda: layer(args.repeats, machine),
        "multibit": lambda: multibit(args.repeats),
        "mlp": lambda: mlp(args.repeats),
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    machine: Row = {}
    found: dict[str, Any] = {"kernels": backend()}
    for name in parts:
        if name not in args.only:
            continue
        if name != "dlrm" and not machine:
            machine = limits(args.repeats)
            found["limits"] = machine
            if not args.json:
                _show(f"this machine, one thread ({backend()} kernels)", [machine])
        found[name] = parts[name]()
        if not args.json:
            _show((parts_help[name]), found[name])
    if args.json:
        print(json.dumps(found, indent=2))


parts_help = {
    "dlrm": "models/dlrm_small and its 2,048 requests, default target",
    "layer": f"{SHAPE[0]}x{SHAPE[1]}, 128-row arrays, 2-bit cells, 8 one-bit phases, 8-bit ADC, steps of 1",
    "multibit": f"{SHAPE[0]}x{SHAPE[1]} on tsinghua28, calibrated, against bare float32 products",
    "mlp": f"programs of {REQUESTS} requests, against the kernels in them",
}

if __name__ == "__main__":
    main()
