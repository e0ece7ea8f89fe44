"""What ``cimc simulate`` prints and draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cimc.cost import Cost
from cimc.metrics.batch_means import BATCHES
from cimc.metrics.intervals import Estimate
from cimc.report.blocks import Block, facts, table
from cimc.report.on_chip_share import on_chip_blocks, part
from cimc.report.summary import machine_lines, static_block
from cimc.support.quantities import count, joules, percent, rate, seconds
from cimc.target.spec import Target
from cimc.timing import Simulation
from cimc.timing.steady_state import SteadyState

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = 12
_CHIPS_ABREAST = 6


def simulation_blocks(found: Simulation, cost: Cost | None) -> list[Block]:
    """Latencies, throughput and the busiest units, with what ``cost`` says of the same requests, if given."""
    how, steady = found.arrivals, found.steady
    lines: list[tuple[str, object]] = [
        ("requests", load_of(found)),
        *([("instances", "those with the fewest requests under way")] if found.dispatch == "least" else []),
        ("latency", f"mean {between(steady.mean, seconds)}"),
        *(("", f"p{p} {between(each, seconds)}") for p, each in steady.percentiles.items()),
        ("", f"max {seconds(float(found.latency.max(initial=0.0)))} (of all requests)"),
        (
            "unloaded",
            f"{seconds(float(found.unloaded.mean()) if found.requests else 0.0)} on average: nobody waits",
        ),
        ("throughput", between(steady.throughput, rate) if steady.throughput else "-"),
        ("intervals", _intervals(steady)),
        ("bottleneck", found.bottleneck or "-"),
    ]
    if cost is not None:
        alone = f"{seconds(cost.latency_ns)} for one request alone, at most {rate(cost.throughput_rps)}"
        lines.append(("analytic", alone))
        closed = (
            (min(how.in_flight, found.requests), float(found.unloaded.mean()))
            if how.kind == "closed"
            else None
        )
        lines += machine_lines(cost, found.throughput_rps, closed)
        lines.append(("energy", f"{joules(cost.energy_pj)} per request, dynamic: waiting costs none of it"))
    if found.link_buffer is not None:
        stood = sum(load.blocked_ns for load in found.loads) / max(1, found.requests)
        lines.append(
            (
                "link buffers",
                f"whole messages each: {count(found.link_buffer)}; "
                f"full ones hold up units for {seconds(round(stood, 3))} per request in all",
            )
        )
    if found.host_segments:
        lines.append(("not included", f"{found.host_segments} host segments: they take no time here"))
    rows = [
        (
            load.name,
            percent(load.utilisation),
            seconds(load.busy_ns / max(1, found.requests)),
            count(load.uses),
            seconds(round(load.wait_ns, 3)),
            seconds(round(load.longest_wait_ns, 3)),
        )
        for load in found.loads[:_SHOWN]
    ]
    more = len(found.loads) - len(rows)
    title = "Busiest units" + (f" ({more} more)" if more else "")
    headings = ("unit", ">busy", ">per request", ">uses", ">mean wait", ">longest wait")
    return [
        *on_chip_blocks(found.on_chip),
        facts(f"Simulated time{part(found.on_chip)}", lines),
        table(title, headings, rows),
        *(
            []
            if cost is None
            else [static_block(cost, found.throughput_rps, "at the load that was simulated")]
        ),
        _scratchpads(found),
    ]


def load_of(found: Simulation) -> str:
    """How many requests came, and how."""
    how = found.arrivals
    ways = {
        "closed": f"{count(how.in_flight)} always in flight (closed loop)",
        "fixed": f"one every {seconds(1e9 / how.rate) if how.rate else '-'}",
        "poisson": f"at random, {rate(how.rate)} (Poisson, seed {how.seed})",
    }
    return f"{count(found.requests)}, {ways[how.kind]}"


def between(estimate: Estimate, show: Callable[[float], str]) -> str:
    """A figure with its interval, where it has one."""
    text = show(estimate.value)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{show(estimate.low)}, {show(estimate.high)}]"


def _intervals(steady: SteadyState) -> str:
    """Where the intervals come from, or why there are none."""
    if steady.missing:
        return f"none, and figures are of the whole run: {steady.missing}"
    used = f"95 %, {BATCHES} batches of {count(len(steady.latencies) // BATCHES)} requests each"
    return f"{used}, without the first {count(steady.warm_up)} and the last {count(steady.cut_at_end)}"


def _scratchpads(found: Simulation) -> Block:
    """What the scratchpad ports must deliver."""
    if not found.scratchpad_bits or found.throughput_rps is None:
        return facts("Scratchpads", [("bandwidth", "not used")])
    tile, bits = max(found.scratchpad_bits.items(), key=lambda e: (e[1], -e[0]))
    need = bits * found.throughput_rps / 1e9
    limit = "no limit was set (--scratchpad-gbps)"
    if found.scratchpad_gbps is not None:
        limit = f"limited to {found.scratchpad_gbps:g} Gb/s each"
    return facts(
        "Scratchpads",
        [("bandwidth", f"tile {tile} moves most: {need:,.1f} Gb/s at this throughput; {limit}")],
    )


def draw_load(found: Simulation, path: Path) -> None:
    """A map of the mesh: how busy each tile's busiest unit is, and each link.

    Raises:
        CimcError: ``report.bad-figure``, ``report.no-matplotlib``, ``io.cannot-write``.
    """
    from cimc.report.figure import new_panels, save, style

    target = found.target
    used = sorted({target.coordinates(t)[0] for t in found.tile_loads()} or {0})
    width, height = target.chip.mesh
    size = max(3.5, 0.45 * max(width, height) + 1.5)
    columns = min(len(used), _CHIPS_ABREAST)
    rows = -(-len(used) // columns)
    figure, panels = new_panels(rows, columns, width=size * columns + 1.0, height=size * rows + 0.3)
    with style():
        image: Any = None
        for chip, axes in zip(used, panels, strict=False):
            image = _chip(found, target, chip, axes)
        for axes in panels[len(used) :]:
            axes.set_visible(False)
        figure.suptitle("Busiest unit of each tile; links by width", fontsize=11)
        bar = figure.colorbar(image, ax=panels)
        bar.set_label("share of the time in use")
    save(figure, path)


def _chip(found: Simulation, target: Target, chip: int, axes: Axes) -> Any:
    import numpy as np
    from matplotlib import colormaps

    width, height = target.chip.mesh
    loads = found.tile_loads()
    first = chip * target.tiles_per_chip
    grid = np.array([loads.get(first + n, (0.0, ""))[0] for n in range(width * height)]).reshape(
        height, width
    )
    colours = colormaps["Blues"]
    image = axes.imshow(grid, cmap=colours, vmin=0.0, vmax=1.0, origin="lower")
    for (source, dest), share in sorted(found.link_loads().items()):
        if target.coordinates(source)[0] != chip:
            continue
        _, x0, y0 = target.coordinates(source)
        _, x1, y1 = target.coordinates(dest)
        dx, dy = x1 - x0, y1 - y0
        aside_x, aside_y = 0.12 * dy, -0.12 * dx  # the two directions side by side
        axes.annotate(
            "",
            (x0 + 0.75 * dx + aside_x, y0 + 0.75 * dy + aside_y),
            (x0 + 0.25 * dx + aside_x, y0 + 0.25 * dy + aside_y),
            arrowprops={"arrowstyle": "->", "color": "#222222", "linewidth": 0.4 + 3.0 * share},
        )
    axes.set_xlabel("tile x")
    axes.set_ylabel("tile y")
    axes.set_xticks(range(width))
    axes.set_yticks(range(height))
    axes.grid(visible=False)
    axes.set_title(f"chip {chip}")
    return image
