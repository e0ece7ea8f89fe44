"""The front door: what onnxruntime accepts comes in unchanged, hostile files are named and refused."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from cimc.errors import ModelError
from cimc.frontend.read.load_model import LoadedModel, load_model
from cimc.support.limits import Limits

FLOAT = TensorProto.FLOAT


def value(name: str, dims: list[int | str] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, FLOAT, [2] if dims is None else dims)


def model(nodes: list[onnx.NodeProto], **parts: list[onnx.TensorProto]) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")], **parts)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def relu() -> onnx.ModelProto:
    return model([helper.make_node("Relu", ["x"], ["y"])])


def with_weight(tensor: onnx.TensorProto) -> onnx.ModelProto:
    return model([helper.make_node("Add", ["x", "w"], ["y"])], initializer=[tensor])


def external(location: str, dims: list[int], **entries: object) -> onnx.TensorProto:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, entry in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(entry))
    return tensor


def save(folder: Path, proto: onnx.ModelProto | bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    return path


def load(folder: Path, proto: onnx.ModelProto | bytes, limits: Limits | None = None) -> LoadedModel:
    return load_model(save(folder, proto), limits or Limits())


def refused(folder: Path, proto: onnx.ModelProto | bytes, limits: Limits | None = None) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load(folder, proto, limits)
    error = caught.value
    assert str(error).isprintable() or "\n  hint" in str(error)
    assert error.location is not None
    assert error.location.file
    return error


# -- accepted ------------------------------------------------------------------------------------


def test_large_initialisers_are_mapped_not_parsed(tmp_path: Path) -> None:
    table = np.arange(4096, dtype=np.float32).reshape(512, 8)
    typed = helper.make_tensor("t", FLOAT, [2048], np.arange(2048, dtype=np.float32))
    small = np.array([1.5, -2], np.float32)
    loaded = load(
        tmp_path,
        model(
            [helper.make_node("Add", ["x", "s"], ["y"])],
            initializer=[numpy_helper.from_array(table, "w"), typed, numpy_helper.from_array(small, "s")],
        ),
    )
    assert list(loaded.arrays) == ["w", "t", "s"]
    np.testing.assert_array_equal(loaded.tensor("w"), table)
    np.testing.assert_array_equal(loaded.tensor("t"), np.arange(2048, dtype=np.float32))
    np.testing.assert_array_equal(loaded.tensor("s"), small)
    assert not loaded.tensor("w").flags.writeable
    assert loaded.proto.ByteSize() < 1000


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "float64", "int8", "uint8", "int16", "int32", "int64", "bool", "uint64"]
)
@pytest.mark.parametrize("count", [0, 1, 7, 5000])
def test_arrays_of_every_type_come_back_bit_for_bit(tmp_path: Path, dtype: str, count: int) -> None:
    array = (np.arange(count) % 3).astype(dtype)
    loaded = load(tmp_path, with_unused(numpy_helper.from_array(array, "w")))
    assert loaded.tensor("w").dtype == array.dtype
    np.testing.assert_array_equal(loaded.tensor("w"), array)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.int4])
@pytest.mark.parametrize("count", [5, 9001])
def test_extension_types_use_ml_dtypes(tmp_path: Path, dtype: type, count: int) -> None:
    array = (np.arange(count) % 5).astype(dtype)
    tensor = load(tmp_path, with_unused(numpy_helper.from_array(array, "w"))).tensor("w")
    assert tensor.dtype == array.dtype
    assert tensor.tobytes() == array.tobytes()


def with_unused(tensor: onnx.TensorProto) -> onnx.ModelProto:
    return model([helper.make_node("Relu", ["x"], ["y"])], initializer=[tensor])


def test_external_data_in_two_files_is_memory_mapped(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.bin").write_bytes(np.arange(10, dtype=np.float32).tobytes())
    (tmp_path / "sub" / "b.bin").write_bytes(np.arange(6, dtype=np.float32).tobytes())
    first, second = external("a.bin", [2, 3], offset=8, length=24), external("sub/b.bin", [6])
    first.name, second.name = "a", "b"
    proto = model([helper.make_node("Relu", ["x"], ["y"])], initializer=[first, second])
    loaded = load(tmp_path, proto)
    np.testing.assert_array_equal(loaded.tensor("a"), np.arange(2, 8, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(loaded.tensor("b"), np.arange(6, dtype=np.float32))
    assert not loaded.tensor("a").flags.owndata


def test_external_tensors_do_not_depend_on_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.bin").write_bytes(np.ones(2, np.float32).tobytes())
    save(tmp_path, with_weight(external("a.bin", [2])))
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(load_model(tmp_path / "model.onnx").tensor("w"), [1, 1])


def test_digest_covers_the_file_and_its_external_data(tmp_path: Path) -> None:
    proto = with_weight(external("a.bin", [2], length=8))
    (tmp_path / "a.bin").write_bytes(b"\0" * 8 + b"unused")
    first = load(tmp_path, proto).digest
    (tmp_path / "a.bin").write_bytes(b"\0" * 8 + b"other!")
    assert load(tmp_path, proto).digest == first
    (tmp_path / "a.bin").write_bytes(b"\0" * 7 + b"\1" + b"unused")
    assert load(tmp_path, proto).digest != first
    proto.producer_name = "x"
    assert load(tmp_path, proto).digest != first


def test_unsorted_nodes_are_sorted_also_when_a_branch_needs_the_later_one(tmp_path: Path) -> None:
    branch = helper.make_graph([helper.make_node("Relu", ["a"], ["r"])], "b", [], [value("r")])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["s"])], "c", [], [value("s")])
    proto = model(
        [
            helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=other),
            helper.make_node("Neg", ["x"], ["a"]),
        ],
        initializer=[helper.make_tensor("c", TensorProto.BOOL, [], [True])],
    )
    assert [n.op_type for n in load(tmp_path, proto).proto.graph.node] == ["Neg", "If"]


def test_of_two_initialisers_of_one_name_the_last_counts_as_in_onnxruntime(tmp_path: Path) -> None:
    tensors = [helper.make_tensor("w", FLOAT, [2], v) for v in ([1, 2], [3, 4])]
    proto = model([helper.make_node("Add", ["x", "w"], ["y"])], initializer=tensors)
    np.testing.assert_array_equal(load(tmp_path, proto).tensor("w"), [3, 4])


def test_functions_are_inlined_also_from_another_operator_set(tmp_path: Path) -> None:
    for version in (17, 16):
        body = [helper.make_node("Relu", ["p"], ["q"])]
        function = helper.make_function("local", "F", ["p"], ["q"], body, [helper.make_opsetid("", version)])
        proto = model([helper.make_node("F", ["x"], ["y"], domain="local")])
        proto.functions.append(function)
        proto.opset_import.append(helper.make_opsetid("local", 1))
        loaded = load(tmp_path, proto)
        assert [n.op_type for n in loaded.proto.graph.node] == ["Relu"]
        assert not loaded.proto.functions


def test_what_only_onnxruntime_tolerates_is_tolerated(tmp_path: Path) -> None:
    proto = model([helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")])
    proto.graph.name = ""
    proto.opset_import.append(helper.make_opsetid("never.used", 3))
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    proto.graph.output[0].ClearField("type")
    loaded = load(tmp_path, proto)
    assert not loaded.proto.graph.input[0].type.tensor_type.HasField("shape")
    assert {(o.domain, o.version) for o in loaded.proto.opset_import} >= {("", 17), ("com.microsoft", 1)}


@pytest.mark.parametrize("linear", [True, False])
def test_sparse_initialisers_become_dense(tmp_path: Path, linear: bool) -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])])
    sparse = proto.graph.sparse_initializer.add(dims=[2, 3])
    sparse.values.CopyFrom(helper.make_tensor("w", FLOAT, [2], [5, 7]))
    indices = np.array([1, 5] if linear else [[0, 1], [1, 2]], np.int64)
    sparse.indices.CopyFrom(numpy_helper.from_array(indices))
    np.testing.assert_array_equal(load(tmp_path, proto).tensor("w"), [[0, 5, 0], [0, 0, 7]])


# -- refused -------------------------------------------------------------------------------------


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, code in (
        (tmp_path / "missing.onnx", "not-found"),
        (tmp_path, "not-a-file"),
        (tmp_path / "fifo", "not-a-file"),
        (Path("/dev/zero"), "not-a-file"),
        (Path("a\0b"), "not-found"),
    ):
        with pytest.raises(ModelError) as caught:
            load_model(path)
        assert caught.value.code == f"frontend.{code}"


@pytest.mark.parametrize("data", [b"", b"\x00", b"hello", b"\x0a\x00", b"\xff" * 50, b"<html></html>"])
def test_bytes_that_are_no_model(tmp_path: Path, data: bytes) -> None:
    assert refused(tmp_path, data).code == "frontend.not-onnx"


def test_every_truncation_is_refused_or_still_a_model(tmp_path: Path) -> None:
    data = with_weight(numpy_helper.from_array(np.ones(2000, np.float32), "w")).SerializeToString()
    graph_end = len(data) - 30
    for end in [*range(0, 120), *range(120, graph_end, 397)]:
        error = refused(tmp_path, data[:end])
        assert error.code.startswith("frontend.")


Break = Callable[[onnx.ModelProto], object]


def _set_opset(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = 999


BROKEN: list[tuple[str, str, Break]] = [
    ("duplicate output", "duplicate-name", lambda m: m.graph.node.append(m.graph.node[0])),
    ("duplicate input", "duplicate-name", lambda m: m.graph.input.append(m.graph.input[0])),
    (
        "output is input",
        "duplicate-name",
        lambda m: m.graph.node.add(op_type="Neg", input=["y"], output=["x"]),
    ),
    ("missing value", "missing-value", lambda m: m.graph.node[0].input.__setitem__(0, "nobody")),
    ("missing output", "missing-value", lambda m: m.graph.output.append(value("nobody"))),
    ("self loop", "cycle", lambda m: m.graph.node[0].input.__setitem__(0, "y")),
    ("opset 999", "unsupported-opset", _set_opset),
    ("unknown operator", "invalid-model", lambda m: setattr(m.graph.node[0], "op_type", "Zork")),
    (
        "unknown domain",
        "unknown-operator",
        lambda m: m.graph.node.add(op_type="A", domain="zork", input=["x"], output=["z"]),
    ),
    ("long name", "name-too-long", lambda m: setattr(m.graph.node[0], "name", "n" * 1025)),
    ("future ir", "invalid-model", lambda m: setattr(m, "ir_version", 999)),
    ("wrong arity", "invalid-model", lambda m: m.graph.node[0].input.append("x")),
    ("no opset", "not-onnx", lambda m: m.ClearField("opset_import")),
    ("no graph", "not-onnx", lambda m: m.ClearField("graph")),
]


@pytest.mark.parametrize(("code", "damage"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_broken_graphs(tmp_path: Path, code: str, damage: Break) -> None:
    proto = relu()
    damage(proto)
    assert refused(tmp_path, proto).code == f"frontend.{code}"


def test_a_cycle_through_a_branch(tmp_path: Path) -> None:
    branch = helper.make_graph([helper.make_node("Relu", ["b"], ["r"])], "t", [], [value("r")])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["s"])], "e", [], [value("s")])
    proto = model(
        [
            helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=other, name="choose"),
            helper.make_node("Neg", ["y"], ["b"]),
        ],
        initializer=[helper.make_tensor("c", TensorProto.BOOL, [], [True])],
    )
    error = refused(tmp_path, proto)
    assert error.code == "frontend.cycle"
    assert error.location is not None
    assert error.location.node == "choose"


def test_control_characters_in_names_are_escaped(tmp_path: Path) -> None:
    proto = relu()
    proto.graph.node[0].input[0] = "\x1b[31mred\n"
    error = refused(tmp_path, proto)
    assert error.code == "frontend.missing-value"
    assert "\x1b" not in str(error)
    assert "\\x1b[31mred\\n" in str(error)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    data = relu().SerializeToString()
    for old, new in ((b"Relu", b"\xff\xfe\xff\xfe"), (b"x", b"\xc3"), (b"g", b"\xe2")):
        assert refused(tmp_path, data.replace(old, new)).code == "frontend.bad-name"


def nested(depth: int) -> onnx.ModelProto:
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["v"])], "g", [], [value("v")])
    for level in range(depth):
        leaf = helper.make_graph(
            [helper.make_node("Neg", ["x"], [f"e{level}"])], "g", [], [value(f"e{level}")]
        )
        node = helper.make_node("If", ["c"], [f"o{level}"], then_branch=graph, else_branch=leaf)
        graph = helper.make_graph([node], "g", [], [value(f"o{level}")])
    proto = model(list(graph.node), initializer=[helper.make_tensor("c", TensorProto.BOOL, [], [True])])
    proto.graph.output[0].name = f"o{depth - 1}"
    return proto


def test_nesting_is_bounded(tmp_path: Path) -> None:
    assert load(tmp_path, nested(8)).proto.graph.node
    assert refused(tmp_path, nested(9), Limits(nesting=8)).code == "frontend.too-deep"


def test_nesting_beyond_what_protobuf_parses(tmp_path: Path) -> None:
    def field(number: int, payload: bytes) -> bytes:
        size, length = len(payload), bytearray()
        while size >= 0x80:
            length.append(size & 0x7F | 0x80)
            size >>= 7
        return bytes([number << 3 | 2, *length, size]) + payload

    graph = field(2, b"g")
    for _ in range(500):
        graph = field(1, field(5, field(6, graph)))  # node, attribute, graph
    opset = field(8, b"\x10\x11")
    assert refused(tmp_path, field(7, graph) + opset).code == "frontend.not-onnx"


def chain_of_functions(count: int, calls: int, recursive: bool = False) -> onnx.ModelProto:
    """``count`` functions, each calling the one before ``calls`` times."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    proto = model([helper.make_node(f"F{count - 1}", ["x"], ["y"], domain="f")])
    proto.opset_import.append(imports[1])
    for index in range(count):
        inner = f"F{index - 1 if index or not recursive else count - 1}"
        nodes, last = [], "p"
        for call in range(calls):
            leaf = index == 0 and not recursive
            kind = helper.make_node("Neg", [last], [f"t{call}"])
            nodes.append(kind if leaf else helper.make_node(inner, [last], [f"t{call}"], domain="f"))
            last = f"t{call}"
        proto.functions.append(helper.make_function("f", f"F{index}", ["p"], [last], nodes, imports))
    return proto


def test_functions_that_double_are_not_expanded(tmp_path: Path) -> None:
    assert len(load(tmp_path, chain_of_functions(5, 2)).proto.graph.node) == 32
    assert refused(tmp_path, chain_of_functions(60, 2)).code == "frontend.function-bomb"
    assert refused(tmp_path, chain_of_functions(300, 1)).code == "frontend.function-bomb"
    assert refused(tmp_path, chain_of_functions(3, 1, recursive=True)).code == "frontend.recursive-function"


def test_functions_that_multiply_bytes_are_not_expanded(tmp_path: Path) -> None:
    proto = chain_of_functions(10, 2)
    blob = numpy_helper.from_array(np.zeros(200_000, np.float32))
    proto.functions[0].node.append(helper.make_node("Constant", [], ["k"], value=blob))
    assert refused(tmp_path, proto, Limits(expanded_bytes=1 << 24)).code == "frontend.function-bomb"


def test_counts_and_sizes_are_bounded(tmp_path: Path) -> None:
    proto = model(
        [
            helper.make_node("Relu", ["x"], ["y"]),
            *(helper.make_node("Neg", ["x"], [f"n{i}"]) for i in range(9)),
        ]
    )
    assert load(tmp_path, proto, Limits(nodes=10)).proto
    assert refused(tmp_path, proto, Limits(nodes=9)).code == "frontend.too-many-nodes"
    assert refused(tmp_path, proto, Limits(values=20)).code == "frontend.too-many-nodes"
    assert refused(tmp_path, proto, Limits(parts=5)).code == "frontend.too-large"
    assert refused(tmp_path, proto, Limits(structure_bytes=50)).code == "frontend.too-large"
    assert refused(tmp_path, proto, Limits(model_bytes=50)).code == "frontend.too-large"


HUGE = [2**62, 2**62]


@pytest.mark.parametrize(
    "tensor",
    [
        TensorProto(name="w", data_type=FLOAT, dims=HUGE),
        TensorProto(name="w", data_type=FLOAT, dims=HUGE, raw_data=b"1234"),
        TensorProto(name="w", data_type=FLOAT, dims=[-1], raw_data=b""),
        TensorProto(name="w", data_type=FLOAT, dims=[2**40], raw_data=b"\0" * 8192),
        TensorProto(name="w", data_type=FLOAT, dims=[2], raw_data=b"\0" * 9),
        TensorProto(name="w", data_type=FLOAT, dims=[1], raw_data=b"\0" * 8192),
        TensorProto(name="w", data_type=FLOAT, dims=[2], float_data=[1]),
        TensorProto(name="w", data_type=FLOAT, dims=[2], int32_data=[1, 2]),
        TensorProto(name="w", data_type=TensorProto.INT64, dims=[2048], float_data=[0] * 2048),
        TensorProto(name="w", data_type=FLOAT, dims=[1], float_data=[1], raw_data=b"\0" * 4),
        TensorProto(name="w", data_type=TensorProto.INT4, dims=[3], raw_data=b"\0"),
        TensorProto(name="w", data_type=TensorProto.STRING, dims=[1], raw_data=b"a"),
        TensorProto(name="w", data_type=99, dims=[1], raw_data=b"\0" * 4),
        TensorProto(name="w", data_type=0, dims=[1], raw_data=b"\0" * 4),
        TensorProto(name="w", data_type=FLOAT, dims=[1] * 40, raw_data=b"\0" * 4),
        TensorProto(name="w", data_type=FLOAT, dims=[1], raw_data=b"\0" * 4, segment={"begin": 0, "end": 1}),
    ],
)
def test_tensors_whose_data_does_not_fit(tmp_path: Path, tensor: onnx.TensorProto) -> None:
    error = refused(tmp_path, with_weight(tensor))
    assert error.code == "frontend.bad-tensor"
    assert error.location is not None
    assert error.location.tensor == "w"


def test_tensors_of_constant_nodes_are_judged_too(tmp_path: Path) -> None:
    bad = TensorProto(data_type=FLOAT, dims=[2**50], raw_data=b"1234")
    node = onnx.NodeProto(op_type="Constant", output=["k"])
    node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(bad)
    proto = relu()
    proto.graph.node.append(node)
    assert refused(tmp_path, proto).code == "frontend.bad-tensor"


@pytest.mark.parametrize(
    ("dims", "indices", "code"),
    [
        ([2**20, 2**20], [1, 2], "too-large"),
        ([2, 2], [1, 4], "bad-tensor"),
        ([2, 2], [-1, 1], "bad-tensor"),
        ([2, 2], [1], "bad-tensor"),
        ([2, 2], [[1, 1, 1], [0, 0, 0]], "bad-tensor"),
    ],
)
def test_bad_sparse_initialisers(tmp_path: Path, dims: list[int], indices: list[object], code: str) -> None:
    proto = relu()
    sparse = proto.graph.sparse_initializer.add(dims=dims)
    sparse.values.CopyFrom(helper.make_tensor("w", FLOAT, [2], [5, 7]))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array(indices, np.int64)))
    assert refused(tmp_path, proto).code == f"frontend.{code}"


# -- external data -------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> tuple[Path, Path]:
    """A model folder beside a file that no model may read."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\0" * 64)
    (folder / "a.bin").write_bytes(b"\0" * 64)
    return folder, tmp_path / "secret"


@pytest.mark.parametrize(
    "location",
    [
        "../secret",
        "a/../../secret",
        "/etc/passwd",
        "",
        ".",
        "..",
        "\\\\host\\share",
        "C:\\x",
        "..\\secret",
        "a\0b",
    ],
)
def test_locations_outside_of_the_folder(secret: tuple[Path, Path], location: str) -> None:
    error = refused(secret[0], with_weight(external(location, [2])))
    assert error.code == "frontend.external-data-escape"


def test_links_are_not_followed(secret: tuple[Path, Path]) -> None:
    folder, target = secret
    (folder / "soft").symlink_to(target)
    (folder / "up").symlink_to(target.parent)
    (folder / "hard").hardlink_to(target)
    (folder / "inside").symlink_to(folder / "a.bin")
    for location in ("soft", "up/secret", "hard", "inside"):
        error = refused(folder, with_weight(external(location, [2])))
        assert error.code == "frontend.external-data-escape", location


def test_files_that_cannot_be_data(secret: tuple[Path, Path]) -> None:
    folder, _ = secret
    (folder / "dir").mkdir()
    os.mkfifo(folder / "fifo")
    for location in ("missing", "dir", "fifo", "a.bin/b", "*/_ORT_MEM_ADDR_/*", "x" * 5000):
        error = refused(folder, with_weight(external(location, [2])))
        assert error.code == "frontend.external-data-missing", location


@pytest.mark.parametrize(
    ("dims", "entries"),
    [
        ([2], {"offset": -1}),
        ([2], {"offset": 60}),
        ([2], {"offset": 2**63}),
        ([2], {"offset": "1" * 400}),
        ([2], {"offset": "0x10"}),
        ([2], {"length": -1}),
        ([2], {"length": 12}),
        ([2], {"length": 2**50}),
        ([2**40], {}),
        (HUGE, {}),
        ([17], {}),
    ],
)
def test_ranges_that_do_not_fit(
    secret: tuple[Path, Path], dims: list[int], entries: dict[str, object]
) -> None:
    error = refused(secret[0], with_weight(external("a.bin", dims, **entries)))
    assert error.code == "frontend.external-data-range"


def test_external_data_of_constant_nodes_and_branches_is_judged(secret: tuple[Path, Path]) -> None:
    node = onnx.NodeProto(op_type="Constant", output=["k"])
    node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(external("../secret", [2]))
    inner = helper.make_graph([node], "t", [], [value("k")])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["s"])], "e", [], [value("s")])
    proto = model(
        [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=other)],
        initializer=[helper.make_tensor("c", TensorProto.BOOL, [], [True])],
    )
    assert refused(secret[0], proto).code == "frontend.external-data-escape"


# -- anything ------------------------------------------------------------------------------------

MIXED = with_weight(numpy_helper.from_array(np.arange(2100, dtype=np.float32), "w"))
MIXED.functions.extend(chain_of_functions(2, 1).functions)
MIXED_BYTES = MIXED.SerializeToString()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(MIXED_BYTES) - 1), st.integers(0, 255)), min_size=1, max_size=4
    ),
    structural=st.booleans(),
)
def test_damaged_bytes_raise_model_errors_only(
    tmp_path: Path, edits: list[tuple[int, int]], structural: bool
) -> None:
    data = bytearray(MIXED_BYTES)
    payload = MIXED_BYTES.index(np.arange(2100, dtype=np.float32).tobytes()[:64])
    for position, byte in edits:
        data[position % payload if structural else position] = byte
    path = save(tmp_path, bytes(data))
    with contextlib.suppress(ModelError):  # any other exception fails the test
        loaded = load_model(path)
        assert loaded.proto.HasField("graph")
        assert all(loaded.tensor(name) is not None for name in loaded.arrays)


@given(
    st.sampled_from(["float32", "int64", "float16", "bool", "int8"]),
    st.lists(st.integers(0, 40), max_size=4),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_array_survives(tmp_path: Path, dtype: str, dims: list[int], random: object) -> None:
    size = int(np.prod(dims))
    array = (np.arange(min(size, 20_000)) % 251).astype(dtype)
    array = np.resize(array, dims) if size else np.zeros(dims, dtype)
    loaded = load(tmp_path, with_unused(numpy_helper.from_array(array, "w"))).tensor("w")
    assert loaded.shape == array.shape
    assert loaded.tobytes() == array.tobytes()
