"""``cimc compile`` and ``cimc run`` on a tiny DLRM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import cimc
from cimc.transforms.passes import FRONTEND
from tests.cli.tiny_files import REQUESTS, Tiny, call
from tests.tight_models import side_by_side


def test_two_compiles_are_byte_identical(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.cimc"
    assert call("compile", tiny.model, "-o", again, "--calib", tiny.calib).code == 0
    assert again.read_bytes() == program.read_bytes()


@pytest.mark.parametrize("target", ["tsinghua28", "isaac32", "neurram130", "hermes14"])
@pytest.mark.parametrize("mode", ["exact", "adc"])
def test_compiled_for_every_preset_it_passes_the_check(
    tiny: Tiny, tmp_path: Path, target: str, mode: str
) -> None:
    path = tmp_path / "p.cimc"
    assert call("compile", tiny.model, "-o", path, "--calib", tiny.calib, "--target", target).code == 0
    done = call("run", path, "--inputs", tiny.requests, "--mode", mode, "--check", tiny.model)
    assert done.code == 0, done.err


def test_json_of_compile(tiny: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "p.cimc"
    done = call("compile", tiny.model, "-o", path, "--calib", tiny.calib, "--seed", 3, "--json")
    found = done.json
    assert set(found) == {
        "output", "bytes", "program", "on_chip", "placement", "certificate", "adc_ranges", "pooling",
        "search", "timings", "peak_growth", "checks",
    }  # fmt: skip
    assert found["bytes"] == path.stat().st_size
    assert found["program"]["seed"] == 3
    assert found["program"]["model"] == "tiny.onnx"
    assert set(found["placement"]) == {
        "matrices", "instructions", "copies", "allocation", "segments", "host_segments", "mapping", "tables",
        "decisions",
    }  # fmt: skip
    counted, (group,) = found["placement"]["instructions"], found["placement"]["copies"]
    assert sum(counted["kinds"].values()) == counted["total"]
    assert group["instances"] == found["placement"]["allocation"]["instances"] > 1
    assert sum(counted["tiles"].values()) == counted["total"] * group["instances"]
    assert list(found["timings"]) == [
        "canonicalize",
        *FRONTEND.split(",")[1:],
        "quantize",
        "group",
        "allocate",
        "shard",
        "choose-adc-steps",
        "copy",
        "place",
        "schedule",
        "lower",
    ]


def test_json_of_run(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    done = call("run", program, "--inputs", tiny.requests, "--check", tiny.model, "--outputs", out, "--json")
    found = done.json
    assert done.code == 0
    assert set(found) == {
        "program",
        "mode",
        "kernels",
        "requests",
        "outputs",
        "check",
        "placement",
        "on_chip",
        "cost",
        "simulation",
    }
    assert found["requests"] == REQUESTS
    assert found["outputs"] == {"prob": {"dtype": "float32", "shape": [REQUESTS, 1]}}
    (checked,) = found["check"]["outputs"]
    assert checked["auc_drop"] == pytest.approx(checked["auc_reference"] - checked["auc"])
    for key in ("latency_ns", "throughput_rps", "bottleneck", "energy_pj", "energy", "area_mm2", "includes"):
        assert key in found["cost"]
    with np.load(out) as outputs:
        expected = cimc.Program.load(program).run(tiny.arrays, mode="adc").outputs
        assert np.array_equal(outputs["prob"], expected["prob"])


def test_summary_says_where_how_well_how_fast_and_what_for(tiny: Tiny, program: Path) -> None:
    text = call("run", program, "--inputs", tiny.requests, "--check", tiny.model, "--details").out
    for heading in ("Where it lives", "Instructions", "Accuracy", "Time", "Energy by component", "Area"):
        assert heading in text
    for word in ("AUC before", "bound", "bottleneck", "requests/s", "nJ", "mm2", "basis"):
        assert word in text
    assert "\x1b" not in text  # no terminal, no colours


@pytest.mark.parametrize("command", ["inspect", "compile", "run", "simulate"])
def test_a_first_screen_ends_what_is_printed(tiny: Tiny, program: Path, tmp_path: Path, command: str) -> None:
    args = {
        "inspect": (tiny.model,),
        "compile": (tiny.model, "-o", tmp_path / "p.cimc", "--calib", tiny.requests),
        "run": (program, "--inputs", tiny.requests, "--check", tiny.model),
        "simulate": (program, "--inputs", tiny.requests, "--in-flight", 4),
    }[command]
    first = call(command, *args).out.splitlines()
    assert 5 < len(first) <= 25
    assert {"fits", "on"} <= {line.split()[0] for line in first}
    everything = call(command, *args, "--details").out.splitlines()
    assert len(everything) > 2 * len(first)
    told = [line for line in first if "simulator took" not in line]  # a time of this machine
    assert [line for line in everything[-len(first) :] if "simulator took" not in line] == told


def test_requests_too_few_for_every_instance_are_pointed_out(tiny: Tiny, program: Path) -> None:
    few = call("run", program, "--inputs", tiny.requests, "--limit", 1).out
    assert "1 request cannot use all of" in few
    assert "cannot use all of" not in call("run", program, "--inputs", tiny.requests).out


def test_outputs_files_of_equal_runs_are_equal(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        assert call("run", program, "--inputs", tiny.requests, "--outputs", tmp_path / name).code == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_limit_runs_the_first_requests(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    first, every = tmp_path / "first.npz", tmp_path / "all.npz"
    done = call("run", program, "--inputs", tiny.requests, "--limit", 7, "--outputs", first, "--json",
                "--check", tiny.model)  # fmt: skip
    assert done.json["requests"] == 7
    assert call("run", program, "--inputs", tiny.requests, "--outputs", every).code == 0
    with np.load(first) as a, np.load(every) as b:
        assert np.array_equal(a["prob"], b["prob"][:7])


def test_a_bound_that_cannot_be_met_fails_with_exit_code_1(tiny: Tiny, program: Path) -> None:
    args = ("run", program, "--inputs", tiny.requests, "--check", tiny.model, "--min-sqnr", 500)
    done = call(*args)
    assert done.code == 1
    assert "accuracy    FAILS: output 'prob'" in done.out
    assert "energy" in done.out  # the figures are shown all the same
    assert "check.failed" in done.err
    as_json = call(*args, "--json")
    assert as_json.code == 1
    assert as_json.json["error"]["code"] == "check.failed"
    assert as_json.json["check"]["passed"] is False


def test_a_bound_without_a_check_is_refused(tiny: Tiny, program: Path) -> None:
    assert call("run", program, "--inputs", tiny.requests, "--min-sqnr", 5).code == 2


def test_check_against_another_file_says_so(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(
        tiny.model.read_bytes() + b"\x12\x00"
    )  # an empty producer name: other bytes, same model
    done = call("run", program, "--inputs", tiny.requests, "--check", other)
    assert done.code == 0
    assert "is not the file that this program was compiled from" in done.err


def test_without_calibration_requests_are_invented_and_a_note_says_so(tiny: Tiny, tmp_path: Path) -> None:
    done = call("compile", tiny.model, "-o", tmp_path / "p.cimc")
    assert done.code == 0, done.err
    assert "synthetic requests" in done.err
    ran = call("run", tmp_path / "p.cimc", "--inputs", tiny.requests)
    assert "synthetic requests" in ran.out


def test_check_each_measures_every_pass_and_the_program(tiny: Tiny, tmp_path: Path) -> None:
    done = call(
        "compile", tiny.model, "-o", tmp_path / "p.cimc", "--calib", tiny.calib, "--check-each", "--json"
    )
    assert done.code == 0, done.err
    assert [c["pass"] for c in done.json["checks"]] == [
        "import",
        "canonicalize",
        *FRONTEND.split(",")[1:],
        "quantize",
        "group",
        "allocate",
        "shard",
        "choose-adc-steps",
        "copy",
        "place",
        "schedule",
        "lower",
        "program",
    ]
    assert "bit for bit: yes" in done.err


def test_check_each_names_the_pass_that_breaks_the_model(tiny: Tiny, tmp_path: Path) -> None:
    coarse = (
        "canonicalize,recognise,demote,outline-host,quantize{weights=2 acts=2},shard,choose-adc-steps,"
        "place,schedule,lower"
    )
    done = call("compile", tiny.model, "-o", tmp_path / "p.cimc", "--calib", tiny.calib, "--pipeline", coarse,
                "--check-each")  # fmt: skip
    assert done.code == 1
    assert "check.pass-broke" in done.err
    assert "pass 'quantize' broke the model" in done.err
    assert not (tmp_path / "p.cimc").exists()


def test_print_ir_after_goes_to_stderr(tiny: Tiny, tmp_path: Path) -> None:
    args = ("compile", tiny.model, "-o", tmp_path / "p.cimc", "--calib", tiny.calib)
    done = call(*args, "--print-ir-after", "outline-host,lower", "--print-locations", "--json")
    assert done.err.count("// -----// IR after") == 2
    assert "rec.embedding_bag" in done.err
    assert 'loc("' in done.err
    assert done.json["output"].endswith("p.cimc")
    assert call(*args, "--print-ir-after", "all").err.count("// -----// IR after") == 20


def test_what_does_not_fit_is_compiled_with_other_options(tmp_path: Path) -> None:
    onnx.save(side_by_side().proto(18), tmp_path / "m.onnx")
    args = ("compile", tmp_path / "m.onnx", "-o", tmp_path / "p.cimc")
    done = call(*args, "--target", "neurram130{tile.scratchpad_bytes=256}", "--json")
    assert done.code == 0, done.err
    assert "scratchpad=0.5" in done.json["program"]["pipeline"]
    assert {"demote", "demote#2", "schedule#12"} <= set(done.json["timings"])
    assert "demote{scratchpad=0.5}" in done.err


def test_timings(tiny: Tiny, tmp_path: Path) -> None:
    done = call("compile", tiny.model, "-o", tmp_path / "p.cimc", "--calib", tiny.calib, "--timings")
    assert " s  quantize" in done.err


def test_no_requests_are_no_check_and_no_simulation(tiny: Tiny, program: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz", **{name: array[:0] for name, array in tiny.arrays.items()})
    done = call("run", program, "--inputs", tmp_path / "none.npz", "--json")
    assert (done.code, done.json["requests"]) == (0, 0)
    done = call("run", program, "--inputs", tmp_path / "none.npz", "--check", tiny.model, "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "request.none")
    done = call("simulate", program, "--inputs", tmp_path / "none.npz", "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "request.none")
