"""What a comparison consists of: workloads x targets x strategies x seeds, as plain data."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cimc
from cimc.errors import CimcError, Location, ModelError, printable
from cimc.isa.program import FORMAT_VERSION
from cimc.support.io.claims import reading
from cimc.support.load_plugin import loaded
from cimc.support.plugins.origin import Origin, noting, records
from cimc.target.load_target import load_target
from cimc.transforms.pipeline import Pipeline


@dataclass(frozen=True)
class Workload:
    """A model and the requests that it serves.

    Attributes:
        name: what tables and figures call it.
        model: the ONNX file.
        requests: ``.npz`` of the requests that are executed; they also say which rows are popular.
        calib: ``.npz`` of calibration requests; the first of ``requests`` where there are none.
        weights: ``generated:SEED`` for weights whose data files are missing.
    """

    name: str
    model: str
    requests: str
    calib: str | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Strategy:
    """A mapping strategy: the name it goes by, and the whole pipeline that it means."""

    name: str
    pipeline: str


@dataclass(frozen=True)
class Case:
    """One compilation and run.

    Attributes:
        chips: chips of the target; 0 = as many as the model needs.
        limit: requests executed, at most; 0 = all.
        in_flight: requests that are in flight at a time in the timing simulation.
    """

    workload: Workload
    target: str
    strategy: Strategy
    seed: int = 0
    chips: int = 0
    limit: int = 0
    in_flight: int = 64

    @property
    def label(self) -> str:
        """How progress and messages name the case."""
        return f"{self.workload.name} / {self.target} / {self.strategy.name} / seed {self.seed}"

    @property
    def key(self) -> str:
        """What decides the result: equal keys, equal results.

        Files count by content, not by name: models with their external data, targets by what they describe,
        and plug-ins by their source: those that were loaded, and installed ones that are named.

        Raises:
            CimcError: ``io.cannot-read``; as :func:`~cimc.target.load_target.load_target`.
        """
        described = asdict(self)
        described["workload"] = {
            "model": model_digest(self.workload.model, self.workload.weights),
            "requests": _digest(self.workload.requests),
            "calib": _digest(self.workload.calib) if self.workload.calib else None,
            "weights": self.workload.weights,
        }
        used: dict[Origin, None] = {}
        with noting(used):
            described["target"] = load_target(self.target).digest
            Pipeline.parse(self.strategy.pipeline)
        if plugins := sorted({*(plugin for _, plugin in loaded()), *records(used)}):
            described["plugins"] = plugins
        described["cimc"] = [cimc.__version__, FORMAT_VERSION]
        text = json.dumps(described, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Plain data, as :meth:`from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Case:
        """The inverse of :meth:`to_json`."""
        return cls(
            **{**data, "workload": Workload(**data["workload"]), "strategy": Strategy(**data["strategy"])}
        )


@cache
def model_digest(path: str, weights: str | None) -> str:
    """Of a model with its external data; of the file alone where it is no model."""
    from cimc.frontend.read.load_model import load_model

    try:
        return load_model(Path(path), weights=weights).digest
    except ModelError:  # its case will say what is wrong with it
        return _digest(path)


@cache
def _digest(path: str) -> str:
    reading(Path(path), "a file of the case")
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CimcError(
            "io.cannot-read", f"cannot read {printable(path)}: {error.strerror or error}"
        ) from None


def workload_beside(model: Path, weights: str | None = None) -> Workload:
    """The workload of a model whose requests lie beside it.

    ``DIR/NAME.onnx`` goes with ``DIR/NAME.requests.npz`` and ``DIR/NAME.calib.npz``, or else with
    ``DIR/requests.npz`` and ``DIR/calib.npz``; then the folder's name is the workload's.

    Raises:
        CimcError: ``study.no-requests``.
    """
    own, shared = model.with_suffix(".requests.npz"), model.parent / "requests.npz"
    requests = next((path for path in (own, shared) if path.is_file()), None)
    if requests is None:
        raise CimcError(
            "study.no-requests",
            f"there are no requests beside the model: neither {own.name} nor {shared.name}",
            location=Location(file=printable(str(model))),
            hint="record some, or make some with: cimc trace --synthetic ... --requests-out FILE",
        )
    calib = requests.with_name(f"{requests.name.removesuffix('requests.npz')}calib.npz")
    name = model.stem if requests == own else model.resolve().parent.name
    return Workload(name, str(model), str(requests), str(calib) if calib.is_file() else None, weights)


def cases(
    workloads: Iterable[Workload],
    targets: Iterable[str],
    strategies: Iterable[Strategy],
    seeds: Iterable[int],
    *,
    chips: int = 0,
    limit: int = 0,
    in_flight: int = 64,
) -> list[Case]:
    """All combinations, workload by workload.

    Raises:
        CimcError: ``study.duplicate`` for two workloads or strategies of one name.
    """
    models, machines, ways, numbers = list(workloads), list(targets), list(strategies), list(seeds)
    _distinct("models", [w.name for w in models])
    _distinct("targets", machines)
    _distinct("strategies", [s.name for s in ways])
    _distinct("seeds", numbers)
    return [
        Case(w, t, s, n, chips, limit, in_flight)
        for w, t, s, n in itertools.product(models, machines, ways, numbers)
    ]


def _distinct(what: str, names: Sequence[Any]) -> None:
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated:
        raise CimcError("study.duplicate", f"two {what} go by the name '{printable(repeated[0])}'")
