"""Kernels compile wherever cimc is installed and whoever runs it; keeping their code is only a saving."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cimc.support import jit as module
from cimc.support.jit import KernelCacheWarning, jit
from cimc.transforms.passes import FRONTEND
from tests.cli.tiny_files import write_tiny
from tests.tested import trees

pytest.importorskip("numba")
ROOT = Path(__file__).parents[2]
NOBODY = 65534


def twice(x):
    return x + x


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(module, "_said", set())


def test_one_module_asks_numba_to_compile() -> None:
    """Whatever asks numba by itself fails where no cache can be written."""
    compilers = {"jit", "njit", "vectorize", "guvectorize", "cfunc", "stencil", "generated_jit"}
    asking = set()
    for name, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = {a.name for a in node.names} & {"numba"}  # names are imported one by one, to show
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numba":
                names = {a.name for a in node.names} & compilers
            else:
                continue
            if names:
                asking.add(name)
    assert asking == {"cimc.support.jit"}


def test_importing_it_imports_no_numba() -> None:
    code = "import sys, cimc.support.jit; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"


# In another process, as another user

KERNELS = """
import numpy as np, warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    from cimc.support.random.splitmix_jit import accepts, state_of
    accepts(state_of(3), 1, 2.0), accepts(state_of(3), 1.0, 2.0)
print([w.category.__name__ for w in said], *(w.message for w in said))
print(sum(accepts.stats.cache_hits.values()), sum(accepts.stats.cache_misses.values()))
"""


class Stranger:
    """An installation that its user cannot write to, and a folder ``files`` that he can."""

    def __init__(self, folder: Path) -> None:
        self.installed, self.files, self.home = folder / "lib", folder / "files", folder / "home"
        shutil.copytree(ROOT / "cimc", self.installed / "cimc", ignore=shutil.ignore_patterns("__pycache__"))
        self.files.mkdir()
        self.home.mkdir()
        self.user = NOBODY if os.geteuid() == 0 else os.geteuid()
        os.chown(self.files, self.user, -1)
        for path in (folder, self.home, *self.installed.rglob("*"), self.installed):
            path.chmod(0o555 if path.is_dir() else 0o444)

    def python(self, *args: object, **env: object) -> subprocess.CompletedProcess[str]:
        """Run the interpreter on ``args`` as the user; his home is read-only unless ``env`` says else."""
        kept = {k: v for k, v in os.environ.items() if k in ("LANG", "LC_ALL")}
        site = dict.fromkeys(sysconfig.get_paths()[name] for name in ("purelib", "platlib"))
        path = os.pathsep.join([str(self.installed), *site])
        return subprocess.run(
            [interpreter(self.user), *map(str, args)],
            capture_output=True,
            text=True,
            cwd=self.files,
            timeout=300,
            env=kept | {"HOME": str(self.home), "PYTHONPATH": path} | {k: str(v) for k, v in env.items()},
            **as_user(self.user),
        )


def as_user(user: int) -> dict[str, object]:
    return {"user": user, "group": user, "extra_groups": []} if os.geteuid() == 0 else {}


def interpreter(user: int) -> str:
    """A Python of this version that ``user`` may run: this one may lie in a folder that is root's alone."""
    name = "python{}.{}".format(*sys.version_info)
    for found in (sys.executable, *(shutil.which(name, path=p) for p in ("/usr/local/bin", "/usr/bin"))):
        try:
            if found and not subprocess.run([found, "-c", ""], cwd="/", **as_user(user)).returncode:
                return found
        except OSError:
            continue
    pytest.skip(f"user {user} can run no {name}")


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with tempfile.TemporaryDirectory() as folder:
        made = Stranger(Path(folder))
        yield made
        for path in (made.installed, *made.installed.rglob("*"), made.home, Path(folder)):
            if path.is_dir():
                path.chmod(0o755)


@pytest.mark.parametrize("filters", ["default", "error", "ignore"])
def test_a_stranger_places_with_ortools(stranger: Stranger, filters: str) -> None:
    write_tiny(stranger.files)
    for path in stranger.files.iterdir():
        path.chmod(0o644)
    done = stranger.python(
        "-m", "cimc", "compile", "tiny.onnx", "-o", "tiny.cimc", "--calib", "calib.npz",
        "--pipeline", f"{FRONTEND},quantize,group,shard,choose-adc-steps,"
        "place{strategy=ortools},schedule,lower",
        PYTHONWARNINGS=filters,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (stranger.files / "tiny.cimc").stat().st_size
    (said,) = (line for line in done.stderr.splitlines() if "NUMBA_CACHE_DIR" in line)
    assert said.startswith("note: no folder to keep compiled kernels in can be written"), done.stderr


def test_a_stranger_is_told_once_that_kernels_are_not_kept(stranger: Stranger) -> None:
    done = stranger.python("-c", KERNELS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['KernelCacheWarning'] no folder to keep compiled kernels")


@pytest.mark.parametrize("variable", ["HOME", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
def test_a_folder_that_can_be_written_keeps_them(stranger: Stranger, variable: str) -> None:
    folder = stranger.files / "kept"
    first, second = (stranger.python("-c", KERNELS, **{variable: folder}) for _ in range(2))
    assert first.stdout.split("\n")[0].strip() == "[]", first.stdout + first.stderr
    assert list(folder.rglob("*.nbi"))
    assert second.stdout.splitlines() == ["[]", "2 0"], second.stderr


def test_a_stranger_without_a_home_makes_no_folder_of_that_name(stranger: Stranger) -> None:
    code = "import os; del os.environ['HOME']; os.getuid = lambda: 12345678\n" + KERNELS
    done = stranger.python("-c", code)
    assert "the user has no home" in done.stdout, done.stdout + done.stderr
    assert not list(stranger.files.iterdir())


# In this process


def test_a_disk_that_is_full_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    function = jit(lambda x: x * 3)
    monkeypatch.setattr(function._cache._cache._cache_file, "_save_data", _full)
    with pytest.warns(KernelCacheWarning, match="No space left"):
        assert function(4) == 12
    with warnings.catch_warnings(action="error"):
        assert function(4.0) == 12.0  # said once


def _full(*args: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_damaged_cache_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert jit(twice)(4) == 8
    (index,) = tmp_path.rglob("*.nbi")
    index.write_bytes(index.read_bytes()[:-9])
    with pytest.warns(KernelCacheWarning, match="cannot be used"):
        assert jit(twice)(4) == 8


def test_code_kept_for_other_types_is_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of two processes that keep a function at once, one may write its code into the other's file."""
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    function = jit(twice)
    function(np.arange(3)), function(np.arange(3.0))
    first, second = sorted(tmp_path.rglob("*.nbc"))
    second.write_bytes(first.read_bytes())
    again = jit(twice)
    assert again(np.arange(3.0)).tolist() == [0.0, 2.0, 4.0]
    assert again(np.arange(3)).tolist() == [0, 2, 4]


def test_without_compilation_functions_are_left_alone() -> None:
    code = (
        "from cimc.support.jit import jit; f = lambda x: x; assert jit(f) is f and jit(inline=True)(f) is f"
    )
    env = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=env)


def test_options_are_those_the_kernels_need() -> None:
    assert jit(lambda a, b: a / b)(np.float32(1), np.float32(0)) == np.inf
    inner = jit(inline=True)(lambda x: x + 1)
    assert jit(lambda x: inner(x) * 2)(3) == 8
