"""Who brings what others register: a name, a version, and a digest of the source.

Whoever must know which plug-ins a piece of work used (a program, a row of a study) opens :func:`noting`; the
registries say there what they hand out.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from cimc.errors import printable

PACKAGE = __name__.partition(".")[0]


class Plugin(NamedTuple):
    """A plug-in as artifacts record it; ``digest`` is SHA-256, or empty for code without a file."""

    name: str
    version: str
    digest: str

    def __str__(self) -> str:
        """For people; parts may come from a file that nobody vouches for."""
        parts = [self.name, self.version, f"({self.digest[:12] or 'no source'})"]
        return " ".join(printable(part) for part in parts if part)


@dataclass(frozen=True)
class Origin:
    """Where an object comes from.

    Attributes:
        name: of a distribution, a package, or a file without its suffix.
        version: of the distribution, if it is one.
        module: a module of it; its package is what the digest is of.
        digest: of the file that was executed, where the plug-in is one file.
    """

    name: str
    version: str = ""
    module: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return printable(f"{self.name} {self.version}".strip())

    def record(self) -> Plugin:
        """What artifacts say of it.  Its module was imported before."""
        return Plugin(self.name, self.version, self.digest or source_digest(self.module))


BUILT_IN = Origin(PACKAGE)
"""Of what comes with the package."""

PROMPT = Origin("__main__", module="__main__")
"""Of objects that the running program itself made."""

_loading: ContextVar[Origin | None] = ContextVar("loading", default=None)
_noting: ContextVar[tuple[dict[Origin, None], ...]] = ContextVar("noting", default=())


def origin_of(module: str) -> Origin:
    """The origin of an object of ``module`` (empty: it does not say) that is registered now."""
    if module.partition(".")[0] == PACKAGE:
        return BUILT_IN
    loading = _loading.get()
    if loading is not None:
        return loading
    return package_of(module) if module else PROMPT


def package_of(module: str) -> Origin:
    """The package that a module belongs to, with the version of its distribution, if there is one."""
    name = module.partition(".")[0]
    try:
        return Origin(name, metadata.version(name), module)
    except metadata.PackageNotFoundError:
        return Origin(name, "", module)


@contextmanager
def loading(origin: Origin) -> Iterator[None]:
    """What is registered inside of the block belongs to ``origin``."""
    token = _loading.set(origin)
    try:
        yield
    finally:
        _loading.reset(token)


@contextmanager
def noting(used: dict[Origin, None]) -> Iterator[None]:
    """Origins of what registries hand out in the block are added to ``used``, but for built-in ones."""
    token = _noting.set((*_noting.get(), used))
    try:
        yield
    finally:
        _noting.reset(token)


def note(origin: Origin) -> None:
    """Say that something of ``origin`` is used."""
    if origin != BUILT_IN:
        for used in _noting.get():
            used[origin] = None


def records(used: dict[Origin, None]) -> tuple[Plugin, ...]:
    """``used`` as artifacts record it, by name."""
    return tuple(sorted({origin.record() for origin in used}))


@cache
def source_digest(module: str) -> str:
    """SHA-256 of the files of an imported module's package, compiled ones left out; "" if it has none."""
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        file = getattr(sys.modules.get(".".join(parts[:count])), "__file__", None)
        if file is not None and Path(file).is_file():
            return _digest(Path(file))
    return ""


def _digest(file: Path) -> str:
    root = file.parent
    found = [file]
    if file.name == "__init__.py":
        found = sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    digest = hashlib.sha256()
    for path in found:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()}\n{content}\n".encode())
    return digest.hexdigest()


def cause(error: BaseException) -> str:
    """What went wrong in the code of others, and where: its own last line, not one of cimc."""
    home = str(Path(__file__).parents[2])
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((home, "<"))]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError) and error.filename:
        where = f" ({Path(error.filename).name}:{error.lineno})"
    return f"{type(error).__name__}: {printable(str(error), 300)}{where}"
