"""Import what the user names as a plug-in: a Python file, or a module."""

from __future__ import annotations

import hashlib
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from cimc.errors import CimcError, Location, PassError, printable
from cimc.support.io.claims import reading
from cimc.support.plugins.origin import Origin, Plugin, cause, loading, package_of

_loaded: dict[str, tuple[Origin, Plugin]] = {}
"""Those of this process in the order in which they were loaded, by how they can be named in another one."""

_ALONE = (
    "a file stands alone; what has several files is a package, installed or on PYTHONPATH: "
    "--plugin PACKAGE.MODULE"
)


def is_file(text: str) -> bool:
    """Whether ``text`` means a file, not a module: it has a path separator or ends in .py."""
    return Path(text).suffix == ".py" or len(Path(text).parts) > 1


def load_plugin(module_or_file: str | Path) -> Plugin:
    """Import a module or execute a Python file; what it registers can be used by name from then on.

    A file that was loaded before, and has not changed, is not executed again.

    Raises:
        CimcError: ``plugin.not-found``; ``plugin.broken`` when it does not import; ``plugin.duplicate`` when
            it registers a name that is taken.
    """
    text = str(module_or_file)
    key = str(Path(text).resolve()) if is_file(text) else text
    known = _loaded.get(key)
    origin = _file(Path(text), key, known) if is_file(text) else _module(text)
    plugin = origin.record()
    _loaded[key] = (origin, plugin)
    return plugin


def loaded() -> list[tuple[str, Plugin]]:
    """What :func:`load_plugin` loaded in this process, in that order, by names for another process."""
    return [(key, plugin) for key, (_, plugin) in _loaded.items()]


def load_again(plugins: list[tuple[str, Plugin]]) -> None:
    """Load what :func:`loaded` gave in another process.

    Raises:
        CimcError: as :func:`load_plugin`; ``plugin.changed`` when it is another one by now.
    """
    for key, expected in plugins:
        if load_plugin(key) != expected:
            raise PassError(
                "plugin.changed",
                f"the plug-in {printable(key, 400)} was changed while it was used",
                hint="run the command again",
            )


def _file(path: Path, key: str, known: tuple[Origin, Plugin] | None) -> Origin:
    reading(path, "--plugin")
    try:
        source = path.read_bytes()
    except OSError as error:
        raise PassError(
            "plugin.not-found",
            f"cannot read the plug-in {printable(str(path), 400)}: {error.strerror or error}",
            hint="give a Python file, or the dotted name of a module that can be imported",
        ) from None
    digest = hashlib.sha256(source).hexdigest()
    if known is not None and known[1].digest == digest:
        return known[0]
    # two files of one name are two plug-ins; the module must be found by its name, as dataclasses do
    name = f"cimc_plugin_{path.stem}_{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    origin = Origin(path.stem, "", name, digest)
    module = ModuleType(name)
    module.__file__ = key
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        with loading(origin):
            exec(compile(source, key, "exec"), module.__dict__)
    except CimcError as error:
        error.add_note(f"in plug-in {printable(str(path), 400)}")
        _put_back(name, before)
        raise
    except (Exception, SystemExit) as error:
        _put_back(name, before)
        raise _broken(str(path), error) from error
    return origin


def _put_back(name: str, module: ModuleType | None) -> None:
    if module is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = module


def _module(name: str) -> Origin:
    try:
        found = find_spec(name)
    except (ImportError, ValueError):
        found = None
    except (Exception, SystemExit) as error:  # of a package that it is in
        raise _broken(name, error) from error
    if found is None:
        raise PassError(
            "plugin.not-found",
            f"there is no module `{printable(name)}`",
            hint="a module must be installed or on PYTHONPATH; a file must end in .py or contain a slash",
        )
    origin = package_of(name)
    try:
        with loading(origin):
            import_module(name)
    except CimcError as error:
        error.add_note(f"in plug-in {printable(name)}")
        raise
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error
    return origin


def _broken(name: str, error: BaseException) -> CimcError:
    alone = isinstance(error, ImportError) and is_file(name)
    return PassError(
        "plugin.broken",
        f"the plug-in cannot be imported: {cause(error)}",
        location=Location(file=printable(name, 400)),
        hint=_ALONE if alone else None,
    )
