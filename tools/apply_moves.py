"""Moves modules and rewrites what names them: ``python tools/apply_moves.py tools/moves.tsv``.

A line of the table is ``old path<TAB>new path``.  Files move with ``git mv``, so that
``git log --follow`` finds their history.  In Python files imports are rewritten by syntax; dotted names and
paths in strings, comments and documents by text.  A module imported as an object (``from cimc.isa import
residency``) takes its new name wherever the file uses it, unless the file has another thing of either name:
then it is imported under its old one.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNTOUCHED = {"tools/apply_moves.py", "requirements.lock", "CHANGELOG.md"}
KEPT = {"onnx"}
"""Modules that stay known by their old name where they are used."""
TEXT = {".py", ".md", ".toml", ".mlir", ".yaml", ".yml", ".cfg", ".tsv", ".txt", ""}


def tracked() -> list[str]:
    """Files under version control, and new ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    return [f for f in listed if f and (ROOT / f).is_file()]


def dotted(path: str) -> str:
    """``cimc/ir/store.py`` as ``cimc.ir.store``; a package's ``__init__`` as the package."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def move(moves: dict[str, str]) -> None:
    """Move the files, and make packages of the folders they come to."""
    for old, new in moves.items():
        (ROOT / new).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "mv", old, new], cwd=ROOT, check=True)
    for new in moves.values():
        if not new.startswith("cimc/"):
            continue
        for folder in Path(new).parents:
            init = ROOT / folder / "__init__.py"
            if folder.parts and folder.parts[0] == "cimc" and not init.exists():
                init.write_text("")


def hides(module: str) -> bool:
    """Whether the package of a module hands on a function or class of the module's own name."""
    package, _, last = module.rpartition(".")
    init = ROOT / package.replace(".", "/") / "__init__.py"
    return init.exists() and bool(re.search(rf"from {module} import [^\n]*\b{last}\b", init.read_text()))


class Names:
    """Old dotted names and what became of them."""

    def __init__(self, moves: dict[str, str]) -> None:
        self.modules = {dotted(o): dotted(n) for o, n in moves.items() if o.endswith(".py")}
        self.paths = dict(moves)
        self.hidden = {m for m in self.modules if hides(m)}
        alternatives = "|".join(re.escape(m) for m in sorted(self.modules, key=len, reverse=True))
        self.in_text = re.compile(rf"(?<![\w.])({alternatives})(?!\w)(?!\.(?:py|yaml)\b)")
        alternatives = "|".join(re.escape(m) for m in sorted(self.paths, key=len, reverse=True))
        self.path_in_text = re.compile(rf"(?<![\w/])({alternatives})(?!\w)")

    def is_module(self, package: str | None, name: str) -> bool:
        """Whether a name imported from ``package`` is a module that moves, and no function of the same
        name."""
        return f"{package}.{name}" in self.modules and f"{package}.{name}" not in self.hidden

    def text(self, source: str) -> str:
        """Dotted names and paths in any text."""
        source = self.path_in_text.sub(lambda m: self.paths[m.group(1)], source)
        return self.in_text.sub(lambda m: self.modules[m.group(1)], source)


def rewrite_python(source: str, names: Names) -> str:
    """Imports of ``from PACKAGE import module`` by syntax; the rest by text."""
    tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    renamed: dict[str, str] = {}
    own = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    arguments = [n for n in ast.walk(tree) if isinstance(n, ast.arguments)]
    own |= {a.arg for n in arguments for a in [*n.args, *n.kwonlyargs, *n.posonlyargs]}
    own |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    own |= {
        a.asname or a.name
        for n in ast.walk(tree)
        if isinstance(n, ast.ImportFrom)
        for a in n.names
        if not names.is_module(n.module, a.name)
    }
    placed: list[str] = []
    for node in sorted(
        (n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module), key=lambda n: -n.lineno
    ):
        moved = [a for a in node.names if names.is_module(node.module, a.name)]
        if not moved:
            continue
        indent = " " * node.col_offset
        out = []
        rest = [a for a in node.names if a not in moved]
        if rest:
            listed = ", ".join(a.name + (f" as {a.asname}" if a.asname else "") for a in rest)
            out.append(f"{indent}from {node.module} import {listed}\n")
        for alias in moved:
            package, _, last = names.modules[f"{node.module}.{alias.name}"].rpartition(".")
            tail = ""
            if alias.asname:
                tail = f" as {alias.asname}"
            elif last != alias.name and (last in own or alias.name in own | KEPT):
                tail = f" as {alias.name}"
            elif last != alias.name:
                renamed[alias.name] = last
            placed.append(package)
            out.append(f"{indent}from moved_{len(placed) - 1}_ import {last}{tail}\n")
        comment = lines[node.end_lineno - 1].partition("#")
        if comment[1] and node.lineno == node.end_lineno:
            out[0] = out[0].rstrip("\n") + "  #" + comment[2]
        lines[node.lineno - 1 : node.end_lineno] = out
    text = names.text(rename("".join(lines), renamed))
    return re.sub(r"\bmoved_(\d+)_(?= import)", lambda m: placed[int(m.group(1))], text)


def rename(source: str, renamed: dict[str, str]) -> str:
    """Names of modules where they are used, token by token."""
    if not renamed:
        return source
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    lines = source.splitlines(keepends=True)
    for i in range(len(tokens) - 1, -1, -1):
        token = tokens[i]
        if token.type != tokenize.NAME or token.string not in renamed:
            continue
        if tokens[i - 1].string in {".", "import", "from"}:
            continue
        if tokens[i + 1].string == "=" and tokens[i - 1].string in {"(", ","}:
            continue
        (row, start), (_, end) = token.start, token.end
        line = lines[row - 1]
        lines[row - 1] = line[:start] + renamed[token.string] + line[end:]
    return "".join(lines)


def main(table: str) -> None:
    """Apply a table of moves to the tree that this file stands in."""
    rows = [r.split("\t") for r in (ROOT / table).read_text().splitlines()[1:] if r.strip()]
    moves = {old: new for old, new in rows if (ROOT / old).exists() and old != new}
    gone = [old for old, _ in rows if old not in moves]
    if gone:
        print("not there:", *gone, sep="\n  ")
    names = Names(moves)
    print("functions of the same name:", *sorted(names.hidden))
    move(moves)
    for file in tracked():
        path = ROOT / file
        if path.suffix not in TEXT or file in UNTOUCHED | {table}:
            continue
        try:
            source = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        new = rewrite_python(source, names) if path.suffix == ".py" else names.text(source)
        if new != source:
            path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
