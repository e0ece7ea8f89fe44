"""A feed's model of 10^12 parameters by statistics, for ``cimc plan``.

    python -m bench.feed OUT.yaml [--parameters P] [--tables N] [--dim D] [--shift S]

Meta's public traces of embedding lookups (github.com/facebookresearch/dlrm_datasets, MIT: 856 tables in
2021, 788 in 2022) are of the kind: hundreds of tables whose rows and bag lengths span orders of magnitude,
read with a strong skew.  The files are tens of gigabytes; what is imitated is the kind, no table of theirs:

* rows: quantiles of a log-normal law of sigma 2.0, scaled to the number of parameters;
* ids a request: quantiles of a log-normal law of median 4 and sigma 1.2, between 1 and 200, dealt over the
  sizes by a fixed permutation, so that large tables are not those with long bags;
* exponents of the Zipf laws: even from 0.65 to 1.1, dealt by another permutation; ``--shift`` adds to them.

Tables come in 20 classes of equal numbers.  Nothing is random.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist

from cimc.study.planning.describe_model import save_description
from cimc.study.planning.description import Description

CLASSES = 20
_SIGMA_ROWS, _SIGMA_POOLING, _MEDIAN_POOLING = 2.0, 1.2, 4.0
_LOW, _HIGH = 0.65, 1.1


def feed(parameters: float = 1e12, tables: int = 800, dim: int = 64, shift: float = 0.0) -> Description:
    """The description; ``tables`` is a multiple of :data:`CLASSES`."""
    each = tables // CLASSES
    quantiles = [NormalDist().inv_cdf((k + 0.5) / CLASSES) for k in range(CLASSES)]
    sizes = [math.exp(_SIGMA_ROWS * z) for z in quantiles]
    scale = parameters / dim / each / sum(sizes)
    classes = []
    for k, size in enumerate(sizes):
        z = quantiles[(7 * k + 3) % CLASSES]
        skew = _LOW + (_HIGH - _LOW) * ((11 * k + 5) % CLASSES) / (CLASSES - 1)
        classes.append(
            {
                "name": f"class_{k:02}",
                "count": each,
                "rows": math.ceil(size * scale),
                "dim": dim,
                "pooling": min(max(round(_MEDIAN_POOLING * math.exp(_SIGMA_POOLING * z), 1), 1.0), 200.0),
                "lengths": "varying",
                "skew": round(min(max(skew + shift, 0.0), 4.0), 4),
            }
        )
    return Description.model_validate(
        {
            "name": "feed",
            "dense": {"features": 256, "bottom": (512, 256, dim), "top": (512, 256, 1)},
            "interaction": "concat",
            "tables": tuple(classes),
        }
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--parameters", type=float, default=1e12)
    parser.add_argument("--tables", type=int, default=800)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--shift", type=float, default=0.0, help="added to the exponents of the Zipf laws")
    given = parser.parse_args(arguments)
    model = feed(given.parameters, given.tables, given.dim, given.shift)
    save_description(model, given.out)
    print(f"{given.out}: {model.parameters:,} parameters in {given.tables} tables")


if __name__ == "__main__":
    main()
