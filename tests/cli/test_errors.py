"""Every mistake of a user has an exit code, a code, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import pytest

from cimc.cli import main as cli_main
from cimc.errors import CimcError, RequestError
from cimc.support.io.files import check_writable, write_atomically
from cimc.transforms.passes import FRONTEND
from cimc.workload.request_file import load_requests
from models.tiny import mlp
from tests.cli.tiny_files import REQUESTS, Called, Tiny, call

ROOT = Path(__file__).parents[2]


def failed(done: Called, code: str, exit_code: int = 2) -> None:
    assert done.code == exit_code, done.err
    assert f"[{code}]" in done.err, done.err
    assert "Traceback" not in done.err


def spoil(tiny: Tiny, path: Path, **changes: Any) -> Path:
    """The tiny model's requests with some arrays changed (``None``: left out)."""
    arrays = {**tiny.arrays, **changes}
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("--target", "nosuch"), "target.unknown"),
        (("--target", "nosuch.yaml"), "target.unknown"),
        (("--pipeline", "nosuch"), "pass.unknown"),
        (("--pipeline", "quantize{foo=1}"), "pass.bad-option"),
        (("--pipeline", "quantize{"), "pass.syntax"),
        (("--pipeline", "canonicalize"), "pass.no-program"),
        (("--pipeline", f"{FRONTEND},quantize{{weights=99}},shard"), "quantize.width"),
        (("--print-ir-after", "nosuch"), "pass.unknown"),
        (("--calib", "nosuch.npz"), "request.unreadable"),
        (("--seed", "-1"), "cli.usage"),
        (("--nosuch",), "cli.usage"),
    ],
)  # fmt: skip
def test_bad_options_of_compile(tiny: Tiny, tmp_path: Path, args: tuple[str, ...], code: str) -> None:
    failed(call("compile", tiny.model, "-o", tmp_path / "p.cimc", *args), code)
    done = call("compile", tiny.model, "-o", tmp_path / "p.cimc", *args, "--json")
    assert done.code == 2
    assert done.json["error"]["code"] == code
    assert set(done.json) == {"error"}
    assert set(done.json["error"]) == {"code", "message", "file", "node", "tensor", "hint", "notes"}
    assert not list(tmp_path.iterdir())


def test_missing_and_truncated_models(tiny: Tiny, tmp_path: Path) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(tiny.model.read_bytes()[:2000])
    for model in (tmp_path / "nosuch.onnx", cut, tmp_path, tiny.requests):
        for command in (("compile", model, "-o", tmp_path / "p.cimc"), ("inspect", model), ("opt", model)):
            done = call(*command)
            assert done.code == 2, (command, done.err)
            assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["run", "compile"])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"dense": None}, "request.missing-input"),
        ({"dense": np.zeros((REQUESTS, 4), np.float32)}, "request.bad-shape"),
        ({"dense": np.zeros(REQUESTS, np.float32)}, "request.bad-shape"),
        ({"ids_0": np.zeros(REQUESTS, np.float32)}, "request.bad-dtype"),
        ({"dense": np.full((REQUESTS, 5), np.nan, np.float32)}, "request.not-finite"),
        ({"ids_0": np.full(REQUESTS, 37)}, "request.id-out-of-range"),
        ({"ids_0": np.full(REQUESTS, -1)}, "request.id-out-of-range"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_requests_that_do_not_fit(
    tiny: Tiny, program: Path, tmp_path: Path, command: str, changes: dict[str, Any], code: str
) -> None:
    bad = spoil(tiny, tmp_path / "bad.npz", **changes)
    if command == "run":
        failed(call("run", program, "--inputs", bad), code)
    else:
        failed(call("compile", tiny.model, "-o", tmp_path / "p.cimc", "--calib", bad), code)


def test_an_id_out_of_range_names_table_and_request(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    ids = tiny.arrays["ids_0"].copy()
    ids[17] = 1000
    done = call("run", program, "--inputs", spoil(tiny, tmp_path / "bad.npz", ids_0=ids))
    failed(done, "request.id-out-of-range")
    assert "id 1000 in request 17" in done.err


def test_arrays_of_different_length(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    bad = spoil(tiny, tmp_path / "bad.npz", ids_0=tiny.arrays["ids_0"][:-1])
    failed(call("run", program, "--inputs", bad), "request.batch-mismatch")
    failed(call("compile", tiny.model, "-o", tmp_path / "p.cimc", "--calib", bad), "request.batch-mismatch")


def test_labels_must_be_0_or_1(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    bad = spoil(tiny, tmp_path / "bad.npz", labels=np.full(REQUESTS, 2))
    failed(call("run", program, "--inputs", bad, "--check", tiny.model), "request.bad-labels")


def test_request_files_that_are_none(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    text, pickled, cut = tmp_path / "text.npz", tmp_path / "pickled.npz", tmp_path / "cut.npz"
    text.write_text("no zip")
    np.savez(pickled, dense=np.array([{}], dtype=object))
    cut.write_bytes(tiny.requests.read_bytes()[:-30])
    for path, code in ((text, "request.not-npz"), (pickled, "request.bad-array"), (cut, "request.not-npz")):
        failed(call("run", program, "--inputs", path), code)
    failed(call("run", program, "--inputs", tiny.requests, "--max-request-bytes", 1000), "request.too-large")


def test_a_header_cannot_make_the_reader_allocate(tmp_path: Path) -> None:
    path = tmp_path / "liar.npz"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    raw = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", raw)
    with pytest.raises(RequestError) as caught:
        load_requests(path)
    assert caught.value.code == "request.bad-array"


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<i8", "|b1", "<f2"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4)])
def test_plain_arrays_are_read_as_numpy_reads_them(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, order: Any
) -> None:
    array = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape).astype(dtype, order=order)
    np.savez(tmp_path / "a.npz", x=array)
    found = load_requests(tmp_path / "a.npz")["x"]
    assert np.array_equal(found, array)
    assert found.shape == array.shape
    assert found.dtype == array.dtype.newbyteorder("=")


def test_programs_that_are_none_or_damaged(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    raw = bytearray(program.read_bytes())
    raw[-10] ^= 1
    (tmp_path / "flipped.cimc").write_bytes(raw)
    (tmp_path / "cut.cimc").write_bytes(program.read_bytes()[:-100])
    for name, code in (
        ("flipped.cimc", "program.corrupt"),
        ("cut.cimc", "program.unreadable"),
        ("nosuch.cimc", "program.unreadable"),
    ):
        failed(call("run", tmp_path / name, "--inputs", tiny.requests), code)
        failed(call("disasm", tmp_path / name), code)
    failed(call("run", tiny.model, "--inputs", tiny.requests), "program.unreadable")


def test_a_check_against_a_model_with_other_outputs(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    onnx.save(mlp((5, 3))[0], tmp_path / "mlp.onnx")
    failed(
        call("run", program, "--inputs", tiny.requests, "--check", tmp_path / "mlp.onnx"),
        "request.other-outputs",
    )


def test_output_paths_that_cannot_be_written(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nosuch" / "x"
    for path in (nowhere, tmp_path):
        failed(call("compile", tiny.model, "-o", path), "io.cannot-write")
        failed(call("run", program, "--inputs", tiny.requests, "--outputs", path), "io.cannot-write")
        failed(call("opt", tiny.model, "-o", path), "io.cannot-write")
    blocked = tmp_path / "file"
    blocked.write_text("")
    failed(
        call("compile", tiny.model, "-o", tmp_path / "p.cimc", "--dump-ir", blocked / "ir"), "io.cannot-write"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tiny: Tiny, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    failed(call("compile", tiny.model, "-o", tmp_path / "p.cimc"), "io.cannot-write")


def test_limit_where_it_is_not_clear_what_to_cut(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    bad = spoil(tiny, tmp_path / "bad.npz", ids_0=tiny.arrays["ids_0"][:-1])
    failed(call("run", program, "--inputs", bad, "--limit", 3), "request.cannot-limit")


def test_usage() -> None:
    failed(call("nosuch"), "cli.usage")
    failed(call("run"), "cli.usage")
    assert call("run", "--json").json["error"]["code"] == "cli.usage"
    bare = call()
    assert bare.code == 2
    assert "Usage: cimc" in bare.err


def _raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("targets")
    @click.option("--json", "as_json", is_flag=True)
    def command(as_json: bool) -> None:
        raise error

    import cimc.cli.commands.targets

    monkeypatch.setattr(cimc.cli.commands.targets, "command", command)


def test_a_bug_prints_its_traceback_and_exits_70(monkeypatch: pytest.MonkeyPatch) -> None:
    _raising(ZeroDivisionError("what was that"), monkeypatch)
    done = call("targets", "--json")
    assert done.code == cli_main.BUG == 70
    assert "Traceback" in done.err
    assert "report" in done.err
    assert done.json["error"]["code"] == "internal"


def test_ctrl_c_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    _raising(KeyboardInterrupt(), monkeypatch)
    done = call("targets")
    assert done.code == 130
    assert "Traceback" not in done.err
    assert call("targets", "--json").json["error"]["code"] == "interrupted"


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CIMC": f"{sys.executable} -m cimc"},
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout() -> None:
    done = shell("$CIMC targets --json > /dev/full")
    assert done.returncode == 2
    assert "io.cannot-write" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "cimc", "targets", "isaac32"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, env=env)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_only_files_are_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(CimcError) as refused:
        write_atomically(pipe, "text")
    assert refused.value.code == "io.cannot-write"
    assert pipe.is_fifo()
    with pytest.raises(CimcError) as early:
        check_writable(pipe)
    assert early.value.code == "io.cannot-write"
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
