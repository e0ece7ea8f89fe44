"""Makes mutants and has them judged, each in a folder and a process of its own."""

from __future__ import annotations

import gc
import hashlib
import os
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cimc.host.isolation import Worker, host_limits
from cimc.support.limits import Limits
from tests.fuzz.child import in_child, lend
from tests.fuzz.judge import judge
from tests.fuzz.mutations import MUTATIONS
from tests.fuzz.subject import Seed, Subject

HOST = replace(Limits(), host_seconds=2.0, host_bytes=1 << 30)
GENTLE = (
    "add_output", "bypass_node", "change_declared_extent", "change_integer_attribute", "change_operator",
    "change_real_attribute", "convert_tensor", "cut_tensor", "external_moved", "initializer_becomes_input",
    "insert_unary", "rename_node", "rename_value", "repeat_node", "reshape_tensor", "retype_input",
    "rewire_input", "scale_weights", "shuffle_nodes", "special_values", "swap_inputs", "swap_operators",
    "wrap_in_function", "wrap_in_if", "wrap_in_loop",
)  # fmt: skip
"""Mutations that often leave a valid model, which then goes through all of the compiler: every other one."""
SECRET = b"outside of the folder of the model" * 1000


@dataclass(frozen=True)
class Result:
    """A mutant and what became of it."""

    number: int
    seed: str
    history: tuple[str, ...]
    outcome: str
    code: str
    detail: str


def make(seeds: Sequence[Seed], seed: int, number: int) -> tuple[Seed, Subject]:
    """Mutant ``number`` of a campaign: it depends on ``seed`` and ``number`` alone."""
    rng = random.Random(f"{seed}/{number}")
    chosen = rng.choices(seeds, [s.weight for s in seeds])[0]
    subject = Subject.of(chosen, rng)
    names = sorted(MUTATIONS)
    assert set(GENTLE) <= set(names)
    wanted = rng.choices((1, 2, 3, 6), (60, 25, 12, 3))[0]
    tries = 0
    while len(subject.history) < wanted and tries < 40:
        tries += 1
        name = rng.choice(GENTLE if rng.random() < 0.5 else names)
        try:
            if MUTATIONS[name](subject) is not False:
                subject.history.append(name)
        except (ValueError, TypeError, OverflowError, IndexError, KeyError):
            continue  # protobuf refuses what this mutation wanted: some of it may be done
    return chosen, subject


def write(subject: Subject, folder: Path) -> Path:
    """The files of a mutant below ``folder``; returns the path of the model."""
    home = folder / "model"
    home.mkdir(parents=True)
    (folder / "out").mkdir()
    (folder / "secret.bin").write_bytes(SECRET)
    for name, data in subject.files.items():
        (home / name).write_bytes(data)
    for name, symbolic in subject.links.items():
        if symbolic:
            (home / name).symlink_to("../secret.bin")
        else:
            os.link(folder / "secret.bin", home / name)
    path = home / "model.onnx"
    path.write_bytes(subject.bytes())
    return path


def _listing(folder: Path) -> dict[str, str]:
    """Every file of a mutant's folder but its output, with its contents."""
    out = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith("out/"):
            continue
        what = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not what:
            what = hashlib.blake2b(path.read_bytes()).hexdigest()
        out[name] = what
    return out


def run_one(
    seeds: Sequence[Seed], seed: int, number: int, worker: Worker, keep: Path | None = None
) -> Result:
    """Judge one mutant; ``keep``: a folder for a copy of its files."""
    chosen, subject = make(seeds, seed, number)
    root = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        path = write(subject, root)
        if keep is not None:
            shutil.copytree(root, keep / f"{seed}-{number}", symlinks=True, dirs_exist_ok=True)
            np.savez(keep / f"{seed}-{number}" / "inputs.npz", **subject.inputs)
        before = _listing(root)
        refuse = subject.must_refuse or bool(subject.outside)

        def work() -> dict[str, str]:
            os.chdir(root)
            with host_limits(HOST), np.errstate(all="ignore"):
                return judge(path, root / "out" / "program.cimc", subject.inputs, refuse).json()

        found = in_child(work, worker)
        after = _listing(root)
        if after != before:
            changed = sorted(set(before.items()) ^ set(after.items()))
            found = {"outcome": "touched", "code": "", "detail": str(changed)[:500]}
        left = [p.name for p in (root / "out").iterdir() if p.name != "program.cimc"]
        if left:
            found = {"outcome": "touched", "code": "left-over", "detail": str(left)}
        return Result(number, chosen.name, tuple(subject.history), **found)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def run(
    seeds: Sequence[Seed], seed: int, numbers: Sequence[int], keep: Path | None = None
) -> Iterator[Result]:
    """Judge mutants one after the other."""
    with host_limits(HOST):
        warm(seeds[0])
        gc.collect()
        gc.freeze()  # what the children share with this process stays shared
        for number in numbers:
            yield run_one(seeds, seed, number, lend(), keep)


def warm(seed: Seed) -> None:
    """Import and compile here what every child would otherwise import and compile again."""
    root = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        path = write(Subject.of(seed, random.Random(0)), root)
        verdict = judge(path, root / "out" / "program.cimc", dict(seed.inputs), False)
        assert verdict.outcome == "agrees", verdict
    finally:
        shutil.rmtree(root, ignore_errors=True)
