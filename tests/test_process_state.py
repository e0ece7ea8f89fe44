"""What belongs to the process, not to a call, stays as it is: threads that use the package share it."""

from __future__ import annotations

import ast
import importlib
import io
import os
import re
import stat
import subprocess
import sys
import textwrap
import threading
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import cimc
from cimc.backend import CimBackend
from cimc.errors import CimcError
from cimc.mapping.assignment.strategy_registry import STRATEGIES
from cimc.support.io.files import atomic_file, write_atomically
from cimc.support.io.npz import Npz
from cimc.workload.request_file import load_requests
from tests.tested import trees

SETTERS = {
    "os": {"umask", "chdir", "putenv", "unsetenv", "setenv", "fchdir", "nice"},
    "warnings": {"catch_warnings", "simplefilter", "filterwarnings", "resetwarnings"},
    "signal": {"signal", "alarm", "setitimer"},
    "locale": {"setlocale"},
    "sys": {"setrecursionlimit", "setswitchinterval", "settrace", "setprofile"},
    "np": {"seterr", "set_printoptions", "seterrcall"},
    "numpy": {"seterr", "set_printoptions"},
    "decimal": {"setcontext"},
    "random": {"seed"},
    "numba": {"set_num_threads"},
    "logging": {"basicConfig", "disable"},
    "tempfile": {"tempdir"},
}
"""Functions that change the whole process."""
OWNERS = ("cimc.cli.", "cimc.__main__", "cimc.host.worker")
"""Parts that own the process, or are one of their own."""


def in_threads(tasks: list[Callable[[], Any]]) -> list[Any]:
    ready = threading.Barrier(len(tasks))

    def start(task: Callable[[], Any]) -> Any:
        ready.wait()
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [f.result() for f in [pool.submit(start, task) for task in tasks]]


def test_the_library_changes_nothing_of_the_process() -> None:
    found = []
    for where, tree in trees().items():
        if f"{where}.".startswith(OWNERS):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                module = ast.unparse(node.func.value)
                if node.func.attr in SETTERS.get(module.split(".")[0], set()) and "." not in module:
                    found.append(f"{where}:{node.lineno} {module}.{node.func.attr}")
            targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
            if any(ast.unparse(t).startswith("os.environ") for t in targets):
                found.append(f"{where}:{node.lineno} os.environ")
    assert not found


def python_2(array: np.ndarray) -> bytes:
    """The array as numpy under Python 2 wrote it, with ``3L`` for 3."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, (1, 0))
    raw = stream.getvalue()
    size = int.from_bytes(raw[8:10], "little")
    text = raw[10 : 10 + size].replace(b"3,", b"3L,").replace(b"2)", b"2L)")
    assert text.count(b"L") == 2
    return raw[:8] + len(text).to_bytes(2, "little") + text + raw[10 + size :]


def test_files_of_python_2_are_read_without_a_word_about_it(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    path = tmp_path / "r.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", python_2(array))
    before = list(warnings.filters)

    def read() -> tuple[np.ndarray, tuple[int, ...]]:
        with Npz(path) as found:
            return load_requests(path)["a"], found.members["a"].shape

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inside = list(warnings.filters)
        for values, shape in in_threads([read] * 16):
            assert (values == array).all()
            assert shape == (3, 2)
        assert list(warnings.filters) == inside
    assert list(warnings.filters) == before


def test_written_files_have_the_permissions_of_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o027)
    try:
        monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("for a moment all threads have another"))
        in_threads([lambda n=n: write_atomically(tmp_path / f"{n % 3}", f"{n % 3}") for n in range(12)])
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1", "2"]
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert path.read_text() == path.name


def test_a_failed_file_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError), atomic_file(tmp_path / "a") as file:
        file.write("no bytes")  # type: ignore[arg-type]
    with pytest.raises(CimcError, match="cannot write"):
        write_atomically(tmp_path / "none" / "a", b"x")
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------------------------------
# Things that are made once in a process


def test_a_strategy_is_not_used_before_its_module_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second thread that asks for it while the first one imports it waits."""
    name = "slow_strategy"
    (tmp_path / f"{name}.py").write_text(
        "import time\ndef place(problem=None, *, seed=0):\n    return helper()\n"
        "time.sleep(0.5)\ndef helper():\n    return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with STRATEGIES.restored():
        STRATEGIES.register(name, f"{name}:place", origin="test")
        look: Any = STRATEGIES.__getitem__

        def late() -> int:
            threading.Event().wait(0.2)
            return int(look(name)())

        assert in_threads([lambda: int(look(name)()), late]) == [1, 1]


def test_a_model_of_the_onnx_backend_is_compiled_once() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[B,8] x) => (float[B,4] y) { y = MatMul(x,w) }'
    )
    rng = np.random.default_rng(0)
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(rng.normal(size=(8, 4)).astype(np.float32), "w")
    )
    rep = CimBackend.prepare(model)
    inputs = [{"x": rng.normal(scale=2.0**n, size=(3, 8)).astype(np.float32)} for n in range(4)]
    found = in_threads([lambda x=x: (rep.run(x)[0], rep.program) for x in inputs])
    assert {id(program) for _, program in found} == {id(rep.program)}
    for x, (values, _) in zip(inputs, found, strict=True):
        assert values.tobytes() == rep.run(x)[0].tobytes()


COLD = """
    import sys, threading, pathlib
    from concurrent.futures import ThreadPoolExecutor
    import cimc

    folder = pathlib.Path(sys.argv[1])
    names = sys.argv[2:]
    ready = threading.Barrier(len(names))

    def work(n, name):
        ready.wait()
        program = cimc.compile(folder / f"{name}.onnx", target=["tsinghua28", "isaac32"][n % 2])
        program.save(folder / f"{n}.cimc")

    with ThreadPoolExecutor(len(names)) as pool:
        for done in [pool.submit(work, n, name) for n, name in enumerate(names)]:
            done.result()
"""


def test_models_are_compiled_at_the_same_time_in_a_fresh_process(tmp_path: Path) -> None:
    """Nothing is imported yet: the threads compete for that too.  Artifacts have the same bytes."""
    rng = np.random.default_rng(0)
    graphs = {
        "mlp": "(float[B,8] x) => (float[B,4] y) { h = MatMul(x,w) y = Relu(h) }",
        "host": "(float[B,8] x) => (float[B,4] y) { h = MatMul(x,w) s = CumSum(h,a) y = Relu(s) }",
        "table": "(int64[B,3] i) => (float[B,4] y) { e = Gather(w,i) y = ReduceSum<keepdims=0>(e,ax) }",
    }
    for name, graph in graphs.items():
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {graph}')
        constants = {
            "w": rng.normal(size=(8, 4)).astype(np.float32),
            "a": np.array(0),
            "ax": np.array([1]),
        }
        for each, array in constants.items():
            if re.search(rf"[(,]{each}[,)]", graph):
                model.graph.initializer.append(onnx.numpy_helper.from_array(array, each))
        onnx.save(model, tmp_path / f"{name}.onnx")
    names = [*graphs] * 2
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", textwrap.dedent(COLD), tmp_path, *names],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        for n, name in enumerate(names):
            alone = cimc.compile(tmp_path / f"{name}.onnx", target=["tsinghua28", "isaac32"][n % 2])
            alone.save(tmp_path / "alone.cimc")
            assert (tmp_path / f"{n}.cimc").read_bytes() == (tmp_path / "alone.cimc").read_bytes()
