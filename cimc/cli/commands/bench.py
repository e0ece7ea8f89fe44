"""``cimc bench``: models x targets x strategies x seeds, measured and set side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from cimc.cli import options
from cimc.cli.options import DEFAULT_TARGET, F
from cimc.cli.path_options import NAMED_OR_READ, READ, Command, NameOrBaseline, WrittenFolder

RESULTS = WrittenFolder("results.jsonl", "results.csv", "results.parquet", "pareto.*", "load.*", "gap.*")


def _number(name: str, default: int, text: str, *, least: int = 0) -> Callable[[F], F]:
    """An option that takes a number of things."""
    return click.option(
        name, type=click.IntRange(min=least), default=default, show_default=True, metavar="N", help=text
    )


@click.command(
    "bench",
    cls=Command,
    short_help="Compare mapping strategies over models, targets and seeds.",
    epilog=options.examples(
        "cimc bench dlrm.onnx --out study --strategy round_robin --strategy greedy --strategy ortools",
        "cimc bench dlrm.onnx twotower.onnx --out study --target tsinghua28 --target isaac32 --plots",
        "cimc bench big/model.onnx --out study --weights generated:0 --chips 0 --seed 0 --seed 1",
        "cimc bench dlrm.onnx --out study \\",
        "    --strategy 'w4=frontend,quantize{weights=4},shard,choose-adc-steps,place,schedule,lower' \\",
        "    --baseline w4 --strategy default",
    ),
)
@click.argument("models", type=READ, nargs=-1, required=True)
@click.option("--out", "folder", type=RESULTS, required=True, metavar="DIR", help="Where results are kept.")
@click.option(
    "--target",
    "targets",
    type=NAMED_OR_READ,
    multiple=True,
    default=(DEFAULT_TARGET,),
    show_default=True,
    metavar="NAME|FILE",
    help="Preset or YAML file; 'NAME{field=value ...}' changes fields; may be repeated.",
)
@click.option(
    "--strategy",
    "strategies",
    multiple=True,
    default=("default",),
    show_default=True,
    metavar="NAME[=PIPELINE]",
    help="A mapping strategy, or a name for a pipeline of your own; may be repeated.",
)
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=click.IntRange(min=0),
    default=(0,),
    show_default=True,
    metavar="N",
    help="Of everything random; may be repeated.",
)
@_number("--chips", 0, "Chips of the target; 0: as many as each model needs.")
@_number("--limit", 0, "Run the first N requests; 0: all.")
@_number("--in-flight", 64, "Requests in flight at a time in the timing simulation.", least=1)
@options.weights
@click.option(
    "--baseline",
    "baselines",
    type=NameOrBaseline(),
    multiple=True,
    metavar="STRATEGY|FILE",
    help="Show figures relative to this strategy, or to the CPU that 'cimc baseline --save' measured on one "
    "of MODELS (FILE.json); may be repeated.",
)
@_number("--jobs", 1, "Cases run at a time.", least=1)
@click.option("--plots", is_flag=True, help="Draw figures into DIR, too.")
@click.option("--parquet", is_flag=True, help="Write DIR/results.parquet, too.")
@options.as_json
def command(
    models: tuple[Path, ...],
    folder: Path,
    targets: tuple[str, ...],
    strategies: tuple[str, ...],
    seeds: tuple[int, ...],
    chips: int,
    limit: int,
    in_flight: int,
    weights: str | None,
    baselines: tuple[str, ...],
    jobs: int,
    plots: bool,
    parquet: bool,
    as_json: bool,
) -> None:
    """Compile and run each of MODELS (ONNX) on every target by every strategy, and compare.

    The requests of DIR/NAME.onnx are DIR/NAME.requests.npz (calibration: DIR/NAME.calib.npz), or else
    requests.npz and calib.npz in its folder. Each case runs in a process of its own. Results are appended
    to DIR/results.jsonl as they come: the same command goes on where it was stopped, and a case is done
    again only if its files, options or version changed. DIR/results.csv has every column.
    """
    from cimc.cli import output
    from cimc.errors import CimcError
    from cimc.report import figure
    from cimc.study import columns
    from cimc.study import plots as drawing
    from cimc.study.baseline.of_cases import baselines_of, case_blocks, case_json
    from cimc.study.cases import cases, workload_beside
    from cimc.study.named_pipelines import strategy
    from cimc.study.results import Store
    from cimc.study.runner import run
    from cimc.support.io.files import check_writable, make_folder
    from cimc.target.load_target import load_target

    chosen = [strategy(text) for text in strategies]
    files = [Path(given) for given in baselines if NameOrBaseline().files(given)]
    names = [given for given in baselines if Path(given) not in files]
    for name in names:
        if name not in {s.name for s in chosen}:
            raise click.UsageError(f"--baseline {name} is none of the strategies, and no FILE.json")
    if len(names) > 1:
        raise click.UsageError(f"--baseline names {len(names)} strategies: choose one")
    for target in targets:
        load_target(target)
    for model in models:
        if not model.is_file():
            raise CimcError("io.cannot-read", f"cannot read the model {model}: there is no such file")
    if plots:
        figure.require(folder / "pareto.svg")
    if parquet:
        columns.require_parquet()
    workloads = [workload_beside(model, weights) for model in models]
    cpus = baselines_of(workloads, files)
    todo = cases(
        workloads,
        targets,
        chosen,
        seeds,
        chips=chips,
        limit=limit,
        in_flight=in_flight,
    )
    for case in todo:
        _ = case.key  # reads all files of the case, before anything is written
    make_folder(folder)
    for made_later in ("results.csv", *(["results.parquet"] if parquet else [])):
        check_writable(folder / made_later)
    store = Store(folder / "results.jsonl")
    with output.progress("cases", "cases") as advance:
        rows = run(todo, store, advance, jobs)
    columns.write_csv(rows, folder / "results.csv")
    if parquet:
        columns.write_parquet(rows, folder / "results.parquet")
    made = drawing.draw(rows, folder, ".svg") if plots else []
    notes = columns.remarks(rows)
    payload = {
        "columns": {c.key: c.meaning for c in columns.COLUMNS},
        "rows": rows,
        "figures": [str(path) for path in made],
        "notes": notes,
    }
    blocks = columns.blocks(rows, names[0] if names else None)
    if cpus:
        blocks += case_blocks(rows, cpus)
        payload["baseline"] = case_json(rows, cpus)
    output.result(payload, blocks, as_json)
    for text in notes:
        output.note(text)
    for row in rows:
        if row.get("error"):
            output.note(f"{row['model']} / {row['target']} / {row['strategy']}: {row['error']}")
        elif row.get("warning"):
            output.note(
                f"warning: {row['model']} / {row['target']} / {row['strategy']}: "
                f"time and energy are of the part on chip: {row['warning']}"
            )
    if rows and all(row.get("error") for row in rows):
        raise CimcError("study.nothing-done", "none of the cases could be done; their errors are above")
