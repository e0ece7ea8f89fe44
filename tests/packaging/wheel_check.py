"""Build wheel and sdist, install the wheel alone and do there what the README shows.

Needs a package index.  Run it from the checkout: ``python -m tests.packaging.wheel_check``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cli.tiny_files import write_tiny
from tests.packaging import readme
from tests.packaging.dist import build, members, unpack

ROOT = Path(__file__).parents[2]


def say(text: str) -> None:
    print(f"wheel-check: {text}", flush=True)


def run(folder: Path, *args: str | Path, bin: Path | None = None) -> None:
    """Run a command in ``folder``, which sees nothing of the checkout; ends this program where it fails."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}
    if bin is not None:
        env["PATH"] = f"{bin}{os.pathsep}{env['PATH']}"
    done = subprocess.run(
        list(map(str, args)), cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        say(f"exit code {done.returncode}: {' '.join(map(str, args))}\n{done.stdout}{done.stderr}")
        raise SystemExit(1)


def pins() -> str:
    """The versions of the lock file without their hashes: known to work, and fetched already."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return "".join(f"{pin}\n" for pin in re.findall(r"^([\w.-]+==[^\\\n]*?) *\\?$", lock, re.MULTILINE))


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        wheel, sdist = build(ROOT, folder / "dist")
        again = build(unpack(sdist, folder / "source"), folder / "again")[0]
        assert members(wheel) == members(again), "the wheel from the sdist differs from that of the checkout"
        say(f"{wheel.name}, the same from {sdist.name}")

        uv, bin = Path(sys.executable).parent / "uv", folder / "venv" / "bin"
        python = bin / "python"
        (folder / "pins.txt").write_text(pins(), encoding="utf-8")
        run(folder, uv, "venv", "--quiet", "--python", sys.executable, folder / "venv")
        run(folder, uv, "pip", "install", "--quiet", "--python", python, "--constraint", "pins.txt",
            f"cimc[report,sweep] @ {wheel.as_uri()}", "mypy")  # fmt: skip
        say("installed")

        user = folder / "user"
        user.mkdir()
        shutil.copytree(
            ROOT / "models", user / "models", ignore=shutil.ignore_patterns("*.py", "__pycache__")
        )
        where = "import cimc, sys; assert cimc.__file__.startswith(sys.prefix), cimc.__file__"
        run(user, python, "-c", where)
        run(user, python, "-c", readme.python())
        say("the Python part of the README")

        tiny = write_tiny(user)
        for path, name in (
            (tiny.model, "model.onnx"),
            (tiny.calib, "calib.npz"),
            (tiny.requests, "requests.npz"),
        ):
            path.rename(user / name)
        for line in readme.shell():
            run(user, "sh", "-euc", line, bin=bin)
        say(f"the shell part, {len(readme.shell())} lines")

        shutil.copy(ROOT / "tests" / "packaging" / "typed_use.py", user)
        run(user, python, "-m", "mypy", "--strict", "typed_use.py")
        say("mypy --strict of its use")


if __name__ == "__main__":
    main()
