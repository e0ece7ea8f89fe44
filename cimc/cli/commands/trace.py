"""``cimc trace``: which rows requests read, how often, and which together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimc.cli import options
from cimc.cli.path_options import READ, WRITTEN, Command, TableOrRead

if TYPE_CHECKING:
    from cimc.report.blocks import Block
    from cimc.study.bag_inputs import Taken
    from cimc.workload.traces import BagSource, Trace
    from cimc.workload.traces.recorded import BagInput
    from cimc.workload.traces.statistics import Statistics
    from cimc.workload.traces.synthetic import SyntheticBags


_NAMED = 3  # tables that a message names


@click.command(
    "trace",
    cls=Command,
    short_help="Which rows of which tables requests read.",
    epilog=options.examples(
        "cimc trace requests.npz --model dlrm.onnx -o dlrm.trace.npz",
        "cimc trace --frequencies dlrm.trace.npz --plot skew.svg",
        "cimc trace --frequencies emb.0=clicks.csv --requests 1000000 -o dlrm.trace.npz",
        "cimc trace --synthetic 'emb.0:rows=1e6,zipf=0.85,pooling=20' --requests 100000 -o t.npz",
        "cimc trace --model bags.cimc --requests 4096 --requests-out synthetic.npz \\",
        "    --synthetic '*:zipf=0.85,pooling=poisson/4,clusters=500,affinity=0.5'",
    ),
)
@click.argument("requests_file", type=READ, required=False, metavar="[REQ.npz]")
@click.option("--model", type=READ, metavar="FILE", help="The .onnx or .cimc file that the requests are for.")
@click.option(
    "--frequencies",
    type=TableOrRead(),
    multiple=True,
    metavar="[TABLE=]FILE",
    help="Counts gathered elsewhere: TABLE=FILE of id,count lines, or a trace (.npz); may be repeated.",
)
@click.option(
    "--synthetic",
    multiple=True,
    metavar="SPEC",
    help="Invent accesses: TABLE:rows=N,zipf=S,pooling=P,clusters=C,affinity=A,dimensions=D,taste=T,"
    "order=shuffled|ranked. P is a number, poisson/MEAN, geometric/MEAN, uniform/LOW/HIGH or "
    "lognormal/MEAN/SIGMA. With --model rows come from the model, and TABLE may be a pattern such as '*'; a "
    "table's own name goes before patterns.",
)
@click.option("--requests", type=click.IntRange(min=1), metavar="N", help="Requests to invent, or counted.")
@click.option("-o", "--output", "path", type=WRITTEN, metavar="OUT.npz", help="Write the trace here.")
@click.option(
    "--requests-out", type=WRITTEN, metavar="REQ.npz", help="Write synthetic requests for the model."
)
@click.option("--plot", type=WRITTEN, metavar="FILE", help="Draw rank against frequency, and bag lengths.")
@click.option(
    "--bag-rows",
    type=click.IntRange(min=0),
    default=1 << 22,
    show_default=True,
    metavar="N",
    help="Keep whole bags of each table with so many rows together; of more a random share.",
)
@click.option("--pairs-of", type=click.IntRange(min=0), hidden=True)
@click.option(
    "--memory-limit",
    type=click.IntRange(min=1),
    default=1 << 30,
    show_default=True,
    metavar="BYTES",
    help="Of counting, beside the program itself.",
)
@options.seed
@options.weights
@options.as_json
def command(
    requests_file: Path | None,
    model: Path | None,
    frequencies: tuple[str, ...],
    synthetic: tuple[str, ...],
    requests: int | None,
    path: Path | None,
    requests_out: Path | None,
    plot: Path | None,
    bag_rows: int,
    pairs_of: int | None,
    memory_limit: int,
    seed: int,
    weights: str | None,
    as_json: bool,
) -> None:
    """Count which rows of which embedding tables are read, how often, and which together.

    Accesses come from recorded requests (REQ.npz with --model), from files of counts (--frequencies), or are
    invented (--synthetic). Recorded requests are read in blocks: a file may be larger than memory.
    """
    from cimc.cli import output
    from cimc.report.figure import require
    from cimc.support.io.files import atomic_file
    from cimc.workload.traces import collect
    from cimc.workload.traces.statistics import statistics

    _one_way(requests_file, model, frequencies, synthetic, requests, requests_out)
    require(plot)
    if pairs_of is not None:
        output.note("note: traces keep whole bags now, with all pairs: --pairs-of is called --bag-rows")
        bag_rows = 0 if pairs_of == 0 else bag_rows
    if frequencies:
        trace = _counted(frequencies, requests or 0)
    else:
        from cimc.study.bag_inputs import taken_by

        taken = taken_by(model, weights) if model is not None else None
        with output.progress("counting", "lookups") as advance:
            sources: list[BagSource]
            if requests_file is not None:
                assert taken is not None
                sources = _recorded(taken, requests_file, memory_limit)
            else:
                assert requests is not None
                invented = _synthetic(taken, synthetic, requests, seed)
                sources = list(invented.values())
                if requests_out is not None:
                    assert taken is not None
                    _write_requests(taken, invented, requests, seed, memory_limit, requests_out)
            trace = collect(
                sources,
                memory_limit=memory_limit,
                bag_rows=bag_rows,
                progress=lambda table, done: advance(done, 0, table),
            )
    if path is not None:
        with atomic_file(path) as file:
            trace.write(file)
    found = [statistics(table) for table in trace.tables.values()]
    if plot is not None:
        from cimc.report.trace_figure import draw

        draw(trace, plot)
    payload: dict[str, Any] = {
        "output": None if path is None else str(path),
        "requests": trace.requests,
        "lookups": trace.lookups,
        "tables": [each.to_json() for each in found],
    }
    output.result(payload, _blocks(trace, found, path), as_json)


def _one_way(
    requests_file: Path | None,
    model: Path | None,
    frequencies: tuple[str, ...],
    synthetic: tuple[str, ...],
    requests: int | None,
    requests_out: Path | None,
) -> None:
    ways = [w for w, given in (("REQ.npz", requests_file), ("--frequencies", frequencies)) if given]
    ways += ["--synthetic"] if synthetic else []
    if len(ways) != 1:
        raise click.UsageError(
            "give one source of accesses: REQ.npz with --model, --frequencies, or --synthetic"
        )
    if requests_file is not None and model is None:
        raise click.UsageError("--model says which arrays of REQ.npz hold the ids of which table")
    if requests_file is not None and requests is not None:
        raise click.UsageError("--requests is for --synthetic and --frequencies; all of REQ.npz is counted")
    if synthetic and requests is None:
        raise click.UsageError("--requests N says how many requests to invent")
    if requests_out is not None and (not synthetic or model is None):
        raise click.UsageError("--requests-out goes with --synthetic and --model")


def _counted(files: tuple[str, ...], requests: int) -> Trace:
    """A trace from frequency files."""
    from cimc.errors import RequestError
    from cimc.workload.traces import TableTrace, Trace
    from cimc.workload.traces.frequencies import read_counts

    tables: dict[str, TableTrace] = {}
    for entry in files:
        name, equals, file = entry.rpartition("=")
        if not equals or entry.endswith(".npz"):
            found = Trace.load(Path(entry)).tables
        elif not requests:
            raise click.UsageError(f"--requests N says how many requests the counts of {file} come from")
        else:
            found = {name: read_counts(Path(file), name, 0, requests)}
        for table in found:
            if table in tables:
                raise RequestError("trace.duplicate-table", f"two files have counts of table {table}")
        tables |= found
    return Trace(tables)


def _recorded(taken: Taken, path: Path, memory_limit: int) -> list[BagSource]:
    """The bags of a request file: streamed, or where ids are computed by the model, by executing it."""
    from cimc.cli.output import note
    from cimc.workload.traces.recorded import RecordedBags

    _some_tables(taken)
    if not taken.computed:
        return [RecordedBags(path, bag) for bag in taken.bags]
    from cimc.workload.request_file import load_requests

    note(
        f"note: the ids of {_few(taken.computed)} are computed by the model: it is executed on all requests, "
        "in memory"
    )
    return list(taken.observe(load_requests(path, memory_limit)))


def _few(tables: Sequence[str]) -> str:
    """The first tables by name, and how many others there are."""
    names = list(dict.fromkeys(tables))
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more tables" if more > 0 else "")


def _some_tables(taken: Taken) -> None:
    from cimc.errors import RequestError

    if not taken.bags and not taken.computed:
        raise RequestError("trace.no-tables", "the model looks up no table")


def _synthetic(
    taken: Taken | None, specs: tuple[str, ...], requests: int, seed: int
) -> dict[BagInput, SyntheticBags]:
    """Synthetic bags for the tables described, or for every bag of a model."""
    from dataclasses import replace
    from fnmatch import fnmatchcase

    from cimc.errors import RequestError
    from cimc.workload.traces.recorded import BagInput
    from cimc.workload.traces.synthetic import SyntheticBags, parse

    described = [parse(spec) for spec in specs]
    if taken is None:
        for name, what in described:
            if not what.rows:
                raise RequestError("trace.bad-spec", f"table {name}: rows are not given, nor a --model")
        bags = [BagInput(name, what.rows, "") for name, what in described]
        if len(set(bags)) != len(bags):
            raise RequestError("trace.duplicate-table", "two descriptions are of one table")
    else:
        _some_tables(taken)
        if taken.computed:
            raise RequestError(
                "trace.computed-ids",
                f"the ids of {_few(taken.computed)} are computed by the model: none can be invented for it",
                hint="record requests of the model instead",
            )
        bags = list(taken.bags)
    found = {}
    for bag in bags:
        fitting = [w for pattern, w in described if pattern == bag.table]
        fitting += [w for pattern, w in described if fnmatchcase(bag.table, pattern)]
        if not fitting:
            raise RequestError(
                "trace.no-spec", f"no --synthetic describes table {bag.table}", hint="add one for '*'"
            )
        what = fitting[0]
        if what.rows not in (0, bag.rows):
            raise RequestError(
                "trace.rows-differ", f"table {bag.table} has {bag.rows} rows, its description {what.rows}"
            )
        what = replace(what, rows=bag.rows)
        found[bag] = SyntheticBags(bag.table, bag.rows, what, requests, seed, bag.ids)
    return found


def _write_requests(
    taken: Taken,
    bags: dict[BagInput, SyntheticBags],
    requests: int,
    seed: int,
    memory_limit: int,
    path: Path,
) -> None:
    from cimc.study.invent import invented
    from cimc.support.io.files import atomic_file
    from cimc.support.io.npz import write_npz

    arrays = invented(taken, bags, requests, seed, memory_limit)
    with atomic_file(path) as file:
        write_npz(file, arrays)


def _blocks(trace: Trace, found: list[Statistics], path: Path | None) -> list[Block]:
    from cimc.report.blocks import facts, table
    from cimc.support.quantities import count, percent

    rows = [
        (
            each.name,
            count(each.rows) if each.rows else "?",
            count(each.lookups),
            f"{each.per_request:.2f}",
            count(each.distinct),
            f"{each.gini:.3f}",
            percent(each.top[2]),
            "-" if each.zipf is None else f"{each.zipf:.2f}",
            "-" if each.pooling is None else " / ".join(str(n) for n in each.pooling[1:]),
            count(each.kept_bags),
        )
        for each in found
    ]
    lines: list[tuple[str, object]] = [] if path is None else [("written", path)]
    lines += [("requests", count(trace.requests)), ("lookups", count(trace.lookups))]
    headings = (
        "table", ">rows", ">lookups", ">per request", ">rows read", ">Gini", ">top 1 %", ">Zipf",
        ">bag p50/p99/max", ">bags kept",
    )  # fmt: skip
    return [facts("Trace", lines), table("Accesses by table", headings, rows)]
