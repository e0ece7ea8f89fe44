"""A measured baseline as data, and the file that keeps it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from cimc.errors import CimcError, Location, printable
from cimc.support.io.claims import reading
from cimc.support.io.files import write_atomically
from cimc.support.shown import Shown, counted

FORMAT, VERSION = "cimc-baseline", 1
MOST_BYTES = 1 << 24

ORT, INT8, FUSED = "onnxruntime fp32", "onnxruntime int8", "fused fp32"


@dataclass(frozen=True)
class Row:
    """One way to compute the requests on the CPU, measured.

    Attributes:
        engine: ``onnxruntime fp32``, ``onnxruntime int8`` or ``fused fp32``.
        ids: ``recorded`` (requests as they came) or ``hot`` (one request again and again).
        batch: requests of one call.
        threads: inside of a call; ``streams``: calls under way at a time.
        requests_per_s: median over repeats; ``best``, ``low`` and ``high``: the largest, and the range.
        latency_p50_s, latency_p99_s: of one call.
        calls: that were timed.
        watts: mean power.
        requests_per_joule: ``requests_per_s / watts``.
    """

    engine: str
    ids: str
    batch: int
    threads: int
    streams: int
    requests_per_s: float
    best: float
    low: float
    high: float
    latency_p50_s: float
    latency_p99_s: float
    calls: int
    watts: float
    requests_per_joule: float

    @property
    def label(self) -> str:
        """How texts name the row."""
        cores = f"{self.threads} thread{'s' * (self.threads > 1)}"
        if self.streams > 1:
            cores = f"{self.streams} streams"
        return f"{self.engine}, batch {self.batch}, {cores}"


@dataclass(frozen=True)
class LeftOut:
    """An engine that was not measured, and why."""

    engine: str
    why: str


@dataclass(frozen=True, repr=False)
class Baseline(Shown):
    """What the CPU at hand does with a model and requests.

    Attributes:
        model, model_digest: the file.
        inputs, requests, requests_digest: the requests: arrays that count, how many, and their digest.
        cpu, cores, versions: the machine.
        load_before: processes that wanted a core in the minute before (load average), ``None``: not known.
        power_source: ``rapl`` or ``stated``; ``power``: what the watts are; ``no_counters``: why they are not
            from counters (``None``: they are).
        watts_per_core: of a core that works: the stated figure, or the share of one core of the packages.
        seconds, repeats: time allowed for all rows; stretches that each was timed in.
        rows: measured; ``left_out``: what was not.
        fused_error: largest difference of the fused reference's float outputs from onnxruntime's, relative to
            the largest magnitude of each output; ``None`` without it.
        int8_error: the same of onnxruntime in int8, on recorded requests.
        method: how it was measured.
    """

    model: str
    model_digest: str
    inputs: tuple[str, ...]
    requests: int
    requests_digest: str
    cpu: str
    cores: int
    versions: dict[str, str]
    load_before: float | None
    power_source: str
    power: str
    no_counters: str | None
    watts_per_core: float
    seconds: float
    repeats: int
    rows: tuple[Row, ...]
    left_out: tuple[LeftOut, ...] = ()
    fused_error: float | None = None
    int8_error: float | None = None
    method: str = field(default="")

    def _brief(self) -> str:
        best = self.best("requests_per_s")
        rate = "-" if best is None else f"{best.requests_per_s:.4g} requests/s ({best.label})"
        return f"of {self.model} on {self.cpu}: {counted(len(self.rows), 'row')}, best {rate}"

    def best(
        self, key: str, engines: Sequence[str] = (ORT, INT8, FUSED), bound_s: float | None = None
    ) -> Row | None:
        """The row of ``engines`` on recorded requests with the largest ``key``.

        ``bound_s``: only among those whose calls take no longer at the 99th percentile.
        """
        own = [row for row in self.rows if row.engine in engines and row.ids == "recorded"]
        if bound_s is not None:
            own = [row for row in own if row.latency_p99_s <= bound_s]
        return max(own, key=lambda row: float(getattr(row, key)), default=None)

    @property
    def notes(self) -> list[str]:
        """What makes the figures less than they seem."""
        found = [f"no row of {each.engine}: {each.why}" for each in self.left_out]
        if self.power_source == "stated" and self.no_counters is not None:
            found.append(f"power of the CPU is not measured: {self.no_counters}")
        if self.load_before is not None and self.load_before > 0.25 * self.cores:
            busy = f"{self.load_before:.2g} processes wanted its {self.cores} cores"
            found.append(f"the CPU had other work before it was measured ({busy}): it can do more than this")
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain data, as :meth:`from_json` reads it."""
        return {"format": FORMAT, "version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Any, where: str) -> Baseline:
        """The inverse of :meth:`to_json`.

        Raises:
            CimcError: ``baseline.invalid``, ``baseline.version``.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise _invalid(where, "it is no file of 'cimc baseline --save'")
        if data.get("version") != VERSION:
            raise CimcError(
                "baseline.version",
                f"a baseline of version {printable(str(data.get('version')), 20)}; "
                f"this cimc reads version {VERSION}",
                location=Location(file=where),
                hint="measure again with: cimc baseline MODEL --inputs REQ.npz --save FILE",
            )
        try:
            kept = {f.name: data[f.name] for f in fields(cls)}
            rows = tuple(_typed(Row, each) for each in kept["rows"])
            left = tuple(_typed(LeftOut, each) for each in kept["left_out"])
            found: Baseline = _typed(
                cls, {**kept, "rows": rows, "left_out": left, "inputs": tuple(map(str, kept["inputs"]))}
            )
            return found
        except (KeyError, TypeError, ValueError) as error:
            raise _invalid(where, f"{type(error).__name__}: {printable(str(error), 200)}") from None

    def save(self, path: str | Path) -> None:
        """Write to a file, atomically.

        Raises:
            CimcError: ``io.cannot-write``.
        """
        write_atomically(Path(path), json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Baseline:
        """Read a file that :meth:`save` wrote.

        Raises:
            CimcError: ``io.cannot-read``, ``baseline.invalid``, ``baseline.version``.
        """
        where = printable(str(path), 400)
        reading(Path(path), "the baseline")
        try:
            with Path(path).open("rb") as file:
                text = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise CimcError(
                "io.cannot-read",
                f"cannot read the baseline: {error.strerror or error}",
                location=Location(file=where),
            ) from None
        if len(text) > MOST_BYTES:
            raise _invalid(where, f"it has more than {MOST_BYTES} bytes")
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _invalid(where, f"no JSON: {printable(str(error), 200)}") from None
        return cls.from_json(data, where)

    @classmethod
    def of_model(cls, path: Path, digest: str) -> Baseline:
        """Read a file, for the model of that digest.

        Raises:
            CimcError: as :meth:`load` and :meth:`require_model`.
        """
        found = cls.load(path)
        found.require_model(digest, printable(str(path), 400))
        return found

    def require_model(self, digest: str, where: str) -> None:
        """Refuse to compare with another model.

        Raises:
            CimcError: ``baseline.other-model``.
        """
        if digest != self.model_digest:
            raise CimcError(
                "baseline.other-model",
                f"the baseline was measured on another model than the program was compiled from: "
                f"{printable(self.model)}, {self.model_digest[:12]}, not {digest[:12]}",
                location=Location(file=where),
                hint="measure this one with: cimc baseline MODEL --inputs REQ.npz --save FILE",
            )


_POSITIVE = {
    "batch", "threads", "streams", "requests_per_s", "best", "low", "high", "watts", "requests_per_joule",
    "requests", "cores", "repeats", "seconds", "watts_per_core",
}  # fmt: skip


def _typed(kind: Any, data: Any) -> Any:
    """A record of ``kind`` whose numbers are finite numbers and whose texts are texts."""
    found = {}
    for each in fields(kind):
        value = data[each.name]
        wanted = str(each.type)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = {
            "str": isinstance(value, str),
            "int": number and isinstance(value, int),
            "float": number and abs(value) < float("inf"),
            "str | None": value is None or isinstance(value, str),
            "float | None": value is None or number,
        }.get(wanted, True)
        if wanted.startswith("dict"):
            fits = isinstance(value, dict)
        if not fits or (each.name in _POSITIVE and not value > 0):
            raise ValueError(f"'{each.name}' is {value!r}")
        found[each.name] = value
    return kind(**found)


def _invalid(where: str, why: str) -> CimcError:
    return CimcError(
        "baseline.invalid",
        f"this is no baseline: {why}",
        location=Location(file=where),
        hint="such a file is written by: cimc baseline MODEL --inputs REQ.npz --save FILE",
    )
