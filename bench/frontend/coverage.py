"""What the frontend puts on the chip, as a Markdown table, one line per model.

    python -m bench.frontend.coverage ../shared/corpus/*.onnx [--write docs/frontend.md]

Each model is imported, canonicalised and fused; where recorded requests lie beside it (``.npz`` with
``in__NAME`` and ``out__NAME``), the fused IR is executed on them and the largest difference to the recorded
outputs is shown.  With ``--write`` the table replaces what stands between the two ``coverage`` comments of
the file.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.frontend.import_graph import import_model
from cimc.frontend.read.load_model import load_model
from cimc.interpreter.evaluate import evaluate
from cimc.ir.text import new_context
from cimc.remarks import HostNode
from cimc.transforms.passes import FRONTEND
from cimc.transforms.pipeline import Pipeline

_HEAD = (
    "| model | tables (bags) | linear layers | multiplications per request | nodes: chip, folded, host "
    "| host remainder | max abs error |\n|---|---|---|---|---|---|---|\n"
)
_PLACE = re.compile(r"(<!-- coverage -->\n).*?(<!-- /coverage -->)", re.DOTALL)


def line(path: Path) -> str:
    """The table's line for the model at ``path``."""
    ctx = new_context()
    module = import_model(load_model(path), ctx)
    Pipeline.parse(FRONTEND).run(module, ctx)
    found = ctx.remarks.recognition
    assert found is not None
    bags = sum(table.bags for table in found.tables)
    products = sum(layer.inputs * layer.outputs for layer in found.linear)
    error = "not recorded"
    recorded = path.with_suffix(".npz")
    if recorded.exists():
        arrays = np.load(recorded, allow_pickle=False)
        outputs = evaluate(module, ctx, {k[4:]: arrays[k] for k in arrays if k.startswith("in__")})
        error = f"{max(_difference(outputs[k[5:]], arrays[k]) for k in arrays if k.startswith('out__')):.1g}"
    counts = f"{found.chip}, {found.folded}, {len(found.host)}"
    return (
        f"| `{path.stem}` | {len(found.tables)} ({bags}) | {len(found.linear)} | {products} "
        f"| {counts} | {_remainder(found.host)} | {error} |\n"
    )


def _difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.abs(a - b).max(initial=0)) if a.shape == b.shape else float("inf")


def _remainder(host: Sequence[HostNode]) -> str:
    """Operators on the host with their number, those that prepare ids apart."""
    parts = []
    for prepares in (True, False):
        chosen = [h for h in host if (h.reason == "index preparation") == prepares]
        kinds = Counter(h.op for h in chosen)
        text = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        if len(kinds) > 6:
            text = f"{len(chosen)} nodes of {len(kinds)} operators"
        if chosen:
            parts.append(f"index preparation: {text}" if prepares else text)
    return "; ".join(parts) or "nothing"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or write it into a document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--write", type=Path, help="Markdown file with a pair of coverage comments")
    options = parser.parse_args(arguments)
    table = _HEAD + "".join(line(path) for path in sorted(options.models))
    if options.write is None:
        print(table, end="")
        return
    text = options.write.read_text(encoding="utf-8")
    changed, count = _PLACE.subn(lambda m: m.group(1) + table + m.group(2), text)
    if count != 1:
        parser.error(f"{options.write} has {count} pairs of coverage comments, needs one")
    options.write.write_text(changed, encoding="utf-8")


if __name__ == "__main__":
    main()
