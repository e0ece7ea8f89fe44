"""The fast tests in another environment: another Python, or other versions of what cimc needs.

``python -m tests.packaging.elsewhere VERSION REQUIREMENTS [PYTEST OPTIONS]`` with a version such as ``3.12``
and a file of pinned requirements.  Where this machine has no such Python, it says so and ends well.
Environments and compiled kernels stay in ``build/env``, so that a second time is quick.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def candidates(version: str) -> Iterator[Path]:
    """Where a Python of this version may be; some may not run, as shims of pyenv."""
    if version == "{}.{}".format(*sys.version_info):
        yield Path(sys.executable)
    for folder in os.get_exec_path():
        yield Path(folder) / f"python{version}"
    yield from sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))


def find(version: str) -> Path | None:
    """The first Python of this version that runs and can make environments."""
    code = "import ssl, sys, venv; print('{}.{}'.format(*sys.version_info))"
    for path in candidates(version):
        if not path.exists():
            continue
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return path
    return None


def environment(python: Path, version: str, requirements: Path) -> Path:
    """A folder whose ``venv`` holds ``requirements`` and cimc itself, made anew if they changed."""
    folder = ROOT / "build" / "env" / f"{version}-{requirements.stem}"
    stamp, wanted = folder / "digest", hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    uv = Path(sys.executable).parent / "uv"
    there = ("pip", "install", "--quiet", "--python", folder / "venv" / "bin" / "python")
    for args in (
        ("venv", "--quiet", "--python", python, folder / "venv"),
        (*there, "--requirements", requirements),
        (*there, "--no-deps", "--no-build-isolation", "--editable", ROOT),
    ):
        subprocess.run([uv, *args], cwd=ROOT, check=True)
    stamp.write_text(wanted, encoding="utf-8")
    return folder


def main(version: str, requirements: str, *options: str) -> int:
    """Exit code of the tests; 0 where there is no such Python."""
    python = find(version)
    if python is None:
        print(f"skipped: no Python {version} runs on this machine", flush=True)
        return 0
    folder = environment(python, version, ROOT / requirements)
    print(f"the fast tests with Python {version} and {requirements}", flush=True)
    env = os.environ | {"NUMBA_CACHE_DIR": str(folder / "kernels")}
    command = [folder / "venv" / "bin" / "python", "-m", "pytest", "-m", "not slow", *options]
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
