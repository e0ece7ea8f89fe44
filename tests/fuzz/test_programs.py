"""Programs and assembly that cimc did not write: verified before the first request, never a traceback."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import cimc
from cimc.errors import CimcError
from cimc.isa.artifact import load_program, save_program
from cimc.isa.listing import arrays_of, format_program, parse_program
from cimc.isa.program import Program as Data
from cimc.report import converters, placement
from cimc.report.blocks import plain
from models.tiny import tiny_dlrm
from tests.fuzz.hostile_programs import load_signed, signed_description, write_signed

MUTANTS = 250
EXTREMES: tuple[Any, ...] = (
    0, 1, -1, 2, 7, 255, 2**31 - 1, 2**31, 2**40, 2**63, 10**30, -(2**63), 1.5, 1e300, True, None, "", "x",
    "f32", "i32", "float32", "|O", "dense", "bag", "../x", "\x00", [], [1], [[1, 2]], {}, {"a": 1},
)  # fmt: skip


def host_between() -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[B,8] x) => (float[B,2] y) '
        "{ h = MatMul(x,w) s = CumSum(h,a) r = Relu(s) y = MatMul(r,v) }"
    )
    for name, array in {
        "w": rng.standard_normal((8, 4)).astype(np.float32),
        "v": rng.standard_normal((4, 2)).astype(np.float32),
        "a": np.array(0),
    }.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model, {"x": rng.standard_normal((3, 8)).astype(np.float32)}


@pytest.fixture(scope="module", params=["tables", "host"])
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("programs")
    model, inputs = tiny_dlrm(seed=0, tables=2) if request.param == "tables" else host_between()
    onnx.save(model, folder / "m.onnx")
    cimc.compile(folder / "m.onnx", calib=inputs).save(folder / "m.cimc")
    return folder / "m.cimc", inputs


def attempt(path: Path, inputs: dict[str, np.ndarray]) -> str:
    """What loading and running gives: ``ran``, or the code of the error."""
    try:
        with np.errstate(all="ignore"):
            cimc.Program.load(path).run(inputs, "exact")
    except CimcError as error:
        return error.code
    return "ran"


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += _places(inner, (*path, key))
    return found


def _change(description: dict[str, Any], rng: random.Random) -> None:
    """One change at a random place: a value replaced, removed, doubled, or moved by one."""
    sections = [p for p in _places(description) if p[0] != "facts" and p != ("header", "version")]
    path = rng.choice(sections)
    parent: Any = description
    for key in path[:-1]:
        parent = parent[key]
    last, kind = path[-1], rng.randrange(5)
    if kind == 0:
        del parent[last]
    elif kind == 1 and isinstance(parent, list):
        parent.append(parent[last])
    elif kind == 2 and type(parent[last]) is int:
        parent[last] += rng.choice((-1, 1, 4, -4, 100))
    else:
        parent[last] = rng.choice(EXTREMES)


def test_descriptions_that_lie(compiled: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    original, inputs = compiled
    text, arrays = load_signed(original)
    rng, path, seen = random.Random(0), tmp_path / "m.cimc", set()
    for _ in range(MUTANTS):
        description = json.loads(text)
        for _ in range(rng.choice((1, 1, 2))):
            _change(description, rng)
        write_signed(path, json.dumps(description), arrays)
        seen.add(attempt(path, inputs))
    assert {"program.corrupt", "isa.invalid", "ran"} <= seen, seen


def test_remarks_that_lie(compiled: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    """What passes said, with any value at any place: it loads and runs, or is refused by name."""
    original, inputs = compiled
    text, arrays = load_signed(original)
    rng, path, seen = random.Random(3), tmp_path / "m.cimc", set()
    sections = [p for p in _places(json.loads(text)) if p[0] == "facts" and len(p) > 1]
    for _ in range(MUTANTS):
        description = json.loads(text)
        *where, last = rng.choice(sections)
        parent: Any = description
        for key in where:
            parent = parent[key]
        extreme = rng.choice((*EXTREMES, float("nan"), float("inf"), -1e999, "delete", "extra"))
        if extreme == "delete":
            del parent[last]
        elif extreme == "extra" and isinstance(parent, dict):
            parent["no such key"] = 1
        else:
            parent[last] = extreme
        write_signed(path, json.dumps(description), arrays)
        code = attempt(path, inputs)
        seen.add(code)
        if code == "ran":
            program = cimc.Program.load(path)
            program.save(tmp_path / "again.cimc")
            assert cimc.Program.load(tmp_path / "again.cimc").remarks == program.remarks
            plain([*placement.blocks(program.data, program.target), *converters.blocks(program.data)])
    assert seen == {"program.bad-remark", "ran"}


def test_arrays_that_lie(compiled: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    """Code, constants, directories and weights of other lengths, types and contents."""
    original, inputs = compiled
    text, arrays = load_signed(original)
    rng, path, seen = random.Random(1), tmp_path / "m.cimc", set()
    for _ in range(MUTANTS):
        changed = dict(arrays)
        name = rng.choice(sorted(changed))
        array = changed[name]
        kinds: list[Callable[[], Any]] = [
            lambda a=array: a[: len(a) // 2],
            lambda a=array: a[:0],
            lambda a=array: a.reshape(-1),
            lambda a=array: a.astype(rng.choice([np.int8, np.int32, np.float32, np.float64, np.int64])),
            lambda a=array: np.concatenate([a, a]),
            lambda a=array: _poked(a, rng),
            lambda a=array: _poked(a, rng),
        ]
        changed[name] = np.ascontiguousarray(rng.choice(kinds)())
        if rng.random() < 0.05:
            del changed[name]
        write_signed(path, text, changed)
        seen.add(attempt(path, inputs))
    assert "ran" in seen
    assert any(code.startswith("isa.") for code in seen), seen


def _poked(array: np.ndarray, rng: random.Random) -> np.ndarray:
    out = array.copy().reshape(-1)
    for _ in range(rng.choice((1, 3))):
        if out.size:
            with np.errstate(all="ignore"):
                value = np.float64(rng.choice((0, -1, 1, 127, 255, 2**31 - 1, -(2**31), 1e9)))
                out[rng.randrange(out.size)] = value.astype(out.dtype)
    return out.reshape(array.shape)


def test_damaged_files(compiled: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    """Without a new signature every change is noticed."""
    original, inputs = compiled
    data, rng, path = original.read_bytes(), random.Random(2), tmp_path / "m.cimc"
    for number in range(120):
        changed = bytearray(data)
        if number % 3 == 0:
            del changed[rng.randrange(len(changed)) :]
        else:
            at = rng.randrange(min(len(changed), 3000)) if number % 3 == 1 else rng.randrange(len(changed))
            changed[at] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        code = attempt(path, inputs)
        assert code in ("program.unreadable", "program.not-cimc", "program.corrupt"), code


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 8, b"\xff" * 64, (2**63).to_bytes(8, "little"), b"\x02\0\0\0\0\0\0\0{}", b"[" * 100_000],
)
def test_files_that_are_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.cimc"
    path.write_bytes(data)
    assert attempt(path, {}) in ("program.unreadable", "program.not-cimc")


def test_a_nested_description(compiled: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    _, arrays = load_signed(compiled[0])
    path = tmp_path / "m.cimc"
    write_signed(path, "[" * 100_000 + "]" * 100_000, arrays)
    assert attempt(path, {}) == "program.corrupt"


def test_hostile_assembly(compiled: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    """Lines dropped, doubled, swapped, and numbers and words in them changed."""
    path, inputs = compiled
    program: Data = load_program(path)
    lines, arrays = format_program(program).splitlines(), arrays_of(program)
    rng, seen = random.Random(3), set()
    words = (
        "0",
        "-1",
        "1",
        "99999999999999999999",
        "[0]",
        "p9",
        "m9",
        "1e999",
        "nan",
        '"x"',
        "{",
        "[" * 5000,
    )
    for _ in range(MUTANTS):
        text = list(lines)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(len(text))
            kind = rng.randrange(5)
            if kind == 0:
                del text[at]
            elif kind == 1:
                text.insert(at, rng.choice(text))
            elif kind == 2:
                other = rng.randrange(len(text))
                text[at], text[other] = text[other], text[at]
            else:
                parts = text[at].split("=")
                if len(parts) > 1:
                    parts[rng.randrange(1, len(parts))] = rng.choice(words)
                text[at] = "=".join(parts)
        seen.add(_assemble("\n".join(text), arrays, inputs, tmp_path / "m.cimc"))
    assert {"isa.syntax", "isa.invalid"} <= seen, seen


def _assemble(text: str, arrays: dict[str, Any], inputs: dict[str, np.ndarray], path: Path) -> str:
    try:
        save_program(parse_program(text, arrays), path)
    except CimcError as error:
        return error.code
    return attempt(path, inputs)


@pytest.mark.parametrize(
    "text",
    ["", "\0", ".program", ".tile 0", ".nothing", ".segment chip\n.tile " + "9" * 5000, ".port in value=1",
     "." + "a" * 100_000, ".program\nmodel = " + "[" * 100_000, ".__class__ 1", ".facts\n= 1", "load"],
)  # fmt: skip
def test_assembly_that_is_none(text: str) -> None:
    with pytest.raises(CimcError) as caught:
        parse_program(text, {})
    assert caught.value.code.startswith("isa.")


def test_a_good_signature_is_accepted(compiled: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    """The tests above sign as cimc does: an unchanged description runs."""
    text, arrays = load_signed(compiled[0])
    write_signed(tmp_path / "m.cimc", text, arrays)
    assert attempt(tmp_path / "m.cimc", compiled[1]) == "ran"
    assert signed_description(tmp_path / "m.cimc") == text
