"""Inputs and outputs added, removed, and declared with other types and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.fuzz.mutations.tensors import EXTENTS
from tests.fuzz.subject import Subject, mutation


@mutation
def drop_input(s: Subject) -> Any:
    if not s.graph.input:
        return False
    del s.graph.input[s.rng.randrange(len(s.graph.input))]
    return None


@mutation
def add_input(s: Subject) -> Any:
    batch = next((len(a) for a in s.inputs.values() if a.ndim), 1)
    s.inputs["added"] = np.ones((batch, 3), np.float32)
    s.graph.input.append(helper.make_tensor_value_info("added", onnx.TensorProto.FLOAT, ["N", 3]))
    node = s.node()
    if node is not None and node.input and s.rng.random() < 0.5:
        node.input[s.rng.randrange(len(node.input))] = "added"


@mutation
def repeat_input(s: Subject) -> Any:
    if not s.graph.input:
        return False
    s.graph.input.append(s.rng.choice(s.graph.input))
    return None


@mutation
def drop_output(s: Subject) -> Any:
    if not s.graph.output:
        return False
    del s.graph.output[s.rng.randrange(len(s.graph.output))]
    return None


@mutation
def add_output(s: Subject) -> Any:
    """Any value becomes an output: with its type, without one, or with a wrong one."""
    names = s.values(s.graph)
    if not names:
        return False
    name = s.rng.choice(names)
    known = [v for v in s.infos() if v.name == name]
    if known and s.rng.random() < 0.7:
        s.graph.output.append(known[0])
    elif s.rng.random() < 0.5:
        s.graph.output.append(onnx.ValueInfoProto(name=name))
    else:
        s.graph.output.append(helper.make_tensor_value_info(name, s.rng.choice([1, 7, 9, 10]), None))
    return None


@mutation
def change_declared_extent(s: Subject) -> Any:
    dims = [d for v in s.infos() for d in v.type.tensor_type.shape.dim]
    if not dims:
        return False
    dim = s.rng.choice(dims)
    if s.rng.random() < 0.3:
        dim.dim_param = s.rng.choice(["", "N", "batch", "batch_size", "other"])
    else:
        dim.dim_value = s.rng.choice(EXTENTS)
    return None


@mutation
def change_declared_rank(s: Subject) -> Any:
    found = [v for v in s.infos() if v.type.HasField("tensor_type")]
    if not found:
        return False
    tensor = s.rng.choice(found).type.tensor_type
    kind = s.rng.randrange(4)
    if kind == 0:
        tensor.ClearField("shape")
    elif kind == 1 and tensor.shape.dim:
        del tensor.shape.dim[s.rng.randrange(len(tensor.shape.dim))]
    elif kind == 2:
        tensor.shape.dim.add()
    else:
        for _ in range(50):
            tensor.shape.dim.add(dim_value=s.rng.choice([1, 2, 2**40]))
    return None


@mutation
def change_declared_type(s: Subject) -> Any:
    found = [v for v in s.infos() if v.type.HasField("tensor_type")]
    if not found:
        return False
    info = s.rng.choice(found)
    kind = s.rng.randrange(5)
    if kind == 0:
        info.ClearField("type")
    elif kind == 1:
        info.type.sequence_type.elem_type.tensor_type.elem_type = 1
    elif kind == 2:
        info.type.optional_type.elem_type.tensor_type.elem_type = 1
    else:
        info.type.tensor_type.elem_type = s.rng.choice([0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 16, 22, 99])
    return None


@mutation
def retype_input(s: Subject) -> Any:
    """An input of another type, and requests that fit it."""
    found = [v for v in s.graph.input if v.name in s.inputs and v.type.HasField("tensor_type")]
    if not found:
        return False
    info = s.rng.choice(found)
    dtype = s.rng.choice([np.float16, np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_])
    with np.errstate(all="ignore"):
        s.inputs[info.name] = s.inputs[info.name].astype(dtype)
    info.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return None
