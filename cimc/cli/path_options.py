"""Kinds of parameters that name files, and the commands that check them before they start.

Every parameter says whether its file is read or written.  From that alone :class:`Command` refuses outputs
that are inputs, or one another, or cannot be written: a command has nothing to do for it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cimc.support.io.claims import Output


class Read(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """A file that is read.  Whether it exists is for its reader to find out, who has the better message."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return Path(value)

    def files(self, value: Any) -> list[Path]:
        """The files that a value names."""
        return [Path("/dev/stdin") if str(value) == "-" else value]


class NamedOrRead(Read):
    """``NAME|FILE``, perhaps with ``{field=value}`` behind it: the file, where it is one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return str(value)

    def files(self, value: Any) -> list[Path]:
        path = Path(value.split("{")[0])
        return [path] if path.suffix in (".yaml", ".yml") or len(path.parts) > 1 else []


class NameOrBaseline(NamedOrRead):
    """``STRATEGY|FILE``: a file where the name ends in ``.json`` or has a folder."""

    def files(self, value: Any) -> list[Path]:
        path = Path(value)
        return [path] if path.suffix == ".json" or len(path.parts) > 1 else []


class TableOrRead(NamedOrRead):
    """``[TABLE=]FILE``."""

    def files(self, value: Any) -> list[Path]:
        return [Path(value), Path(value.rpartition("=")[2])]


class PluginModule(Read):
    """``MODULE`` or ``FILE.py``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return str(value)

    def files(self, value: Any) -> list[Path]:
        from cimc.support.load_plugin import is_file

        return [Path(value)] if is_file(value) else []


class Written(click.ParamType):  # type: ignore[type-arg]
    """A file that is written.

    Args:
        beside: suffix of a second file written beside it.
    """

    name = "file"

    def __init__(self, beside: str = "") -> None:
        self.beside = beside

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if value == "-":
            self.fail("'-' is no file; for a file of this name give its full path", param, ctx)
        return Path(value)

    def outputs(self, what: str, path: Path) -> Iterator[Output]:
        """What writing to ``path`` writes; ``what`` is the name of the option."""
        from cimc.support.io.claims import Output

        yield Output(what, path)
        if self.beside and path.name:
            yield Output(f"the {self.beside} file of {what}", path.with_suffix(self.beside))

    def check(self, path: Path) -> None:
        """Raises :class:`~cimc.errors.CimcError`, ``io.cannot-write``, where that cannot be."""
        from cimc.support.io.files import check_writable

        check_writable(path)
        if self.beside and path.name:
            check_writable(path.with_suffix(self.beside))


class WrittenFolder(Written):
    """A folder into which files are written whose names match ``names``."""

    name = "folder"

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    def outputs(self, what: str, path: Path) -> Iterator[Output]:
        from cimc.support.io.claims import Output

        yield Output(what, path, self.names)

    def check(self, path: Path) -> None:
        from cimc.support.io.files import check_folder

        check_folder(path)


PLUGIN = "--plugin"
READ = Read()
NAMED_OR_READ = NamedOrRead()
WRITTEN = Written()


class Command(click.Command):
    """A command that refuses to start where an output is an input, another output, or cannot be written.

    Every command takes plug-ins, and loads them before it does anything else.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                [PLUGIN],
                type=PluginModule(),
                multiple=True,
                metavar="MODULE|FILE",
                help="Import this first: it may register strategies, passes, ...; may be repeated.",
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        from cimc.support.io.claims import claimed, reading

        written = [(p, p.type, v) for p, v in _values(self, ctx) if isinstance(p.type, Written)]
        outputs = [output for p, kind, v in written for output in kind.outputs(_label(p), v)]
        with ExitStack() as stack:
            stack.enter_context(claimed([*_streams(), *outputs]))
            for param, value in _values(self, ctx):
                if isinstance(param.type, Read):
                    for path in param.type.files(value):
                        reading(path, _label(param))
            for _, kind, value in written:
                kind.check(value)
            for plugin in ctx.params.pop("plugin"):
                from cimc.support.load_plugin import load_plugin

                load_plugin(plugin)
            return super().invoke(ctx)


def _values(command: click.Command, ctx: click.Context) -> Iterator[tuple[click.Parameter, Any]]:
    """Every parameter with every value that it was given."""
    for param in command.params:
        given = ctx.params.get(param.name or "")
        for value in given if isinstance(given, tuple) else (given,):
            if value is not None:
                yield param, value


def _label(param: click.Parameter) -> str:
    return param.opts[0] if isinstance(param, click.Option) else param.human_readable_name


def _streams() -> Iterator[Output]:
    """Standard output, where it goes to a file: that is written, too."""
    from cimc.support.io.claims import Output

    try:
        is_file = stat.S_ISREG(os.fstat(1).st_mode)
    except OSError:
        return
    if is_file:
        yield Output("standard output", Path("/dev/stdout"))
