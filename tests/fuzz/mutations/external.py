"""External data: outside of the folder, behind links, beyond the end of its file."""

from __future__ import annotations

from typing import Any

from onnx import TensorProto, numpy_helper

from tests.fuzz.subject import Subject, mutation

OUTSIDE = (
    "../secret.bin",
    "/etc/passwd",
    "a/../../secret.bin",
    "./../secret.bin",
    "..\\secret.bin",
    "C:\\x",
    "",
    "..",
)
NUMBERS = (
    "-1",
    "0",
    "1",
    "17",
    "4096",
    "999999999999",
    "18446744073709551615",
    "9" * 40,
    "",
    "1e3",
    "0x10",
    " 4",
    "٣",
)


def _external(s: Subject, location: str) -> Any:
    """Moves a random initialiser into a file, and gives its entry."""
    found = [t for t in s.graph.initializer if t.data_type != TensorProto.STRING]
    if not found:
        return None
    tensor = s.rng.choice(found)
    if tensor.data_location != TensorProto.EXTERNAL:
        try:
            data = numpy_helper.to_array(tensor).tobytes()
        except Exception:  # an earlier mutation may have damaged it
            return None
        s.files.setdefault("data.bin", data + bytes(64))
        for name in ("raw_data", "float_data", "int64_data", "int32_data", "double_data"):
            tensor.ClearField(name)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="length", value=str(len(data)))
    s.outside.discard(tensor.name)
    for entry in list(tensor.external_data):
        if entry.key == "location":
            tensor.external_data.remove(entry)
    tensor.external_data.add(key="location", value=location)
    return tensor


@mutation
def external_outside(s: Subject) -> Any:
    tensor = _external(s, s.rng.choice(OUTSIDE))
    if tensor is None:
        return False
    s.outside.add(tensor.name)
    return None


@mutation
def external_behind_a_link(s: Subject) -> Any:
    symbolic = s.rng.random() < 0.5
    tensor = _external(s, "link.bin")
    if tensor is None:
        return False
    s.links["link.bin"] = symbolic
    s.outside.add(tensor.name)
    return None


@mutation
def external_range(s: Subject) -> Any:
    tensor = _external(s, "data.bin")
    if tensor is None:
        return False
    key = s.rng.choice(["offset", "length"])
    for entry in list(tensor.external_data):
        if entry.key == key and s.rng.random() < 0.8:
            tensor.external_data.remove(entry)
    tensor.external_data.add(key=key, value=s.rng.choice(NUMBERS))
    return None


@mutation
def external_moved(s: Subject) -> Any:
    """A valid way to keep a weight, unless its file is too short by now."""
    return False if _external(s, "data.bin") is None else None


@mutation
def external_file_damaged(s: Subject) -> Any:
    if not s.files:
        return False
    name = s.rng.choice(sorted(s.files))
    data = s.files[name]
    s.files[name] = s.rng.choice([b"", data[:-1], data[: len(data) // 2], bytes(len(data)), data[::-1]])
    return None


@mutation
def external_file_missing(s: Subject) -> Any:
    if not s.files:
        return False
    del s.files[s.rng.choice(sorted(s.files))]
    return None


@mutation
def external_unknown_key(s: Subject) -> Any:
    tensor = _external(s, "data.bin")
    if tensor is None:
        return False
    tensor.external_data.add(key=s.rng.choice(["checksum", "nobody", "location", "offset"]), value="data.bin")
    return None
