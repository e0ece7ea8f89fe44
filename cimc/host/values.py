"""Values of onnxruntime as arrays: texts, sequences, maps and optionals can be compared and shown too."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def flat(value: Any) -> tuple[str, NDArray[Any]]:
    """What a value is made of, and all that it holds as one array; of an array: ``""`` and itself.

    Two values whose structures are equal hold elements of the same meaning in the same places.  Texts are
    ``str`` objects.
    """
    if isinstance(value, np.ndarray):
        return "", value
    parts: list[NDArray[Any]] = []
    structure = _collect(value, parts)
    texts = any(part.dtype.kind in "OUS" for part in parts)
    kept = [part.astype(object) if texts else part for part in parts]
    return structure, np.concatenate(kept) if kept else np.zeros(0)


def _collect(value: Any, parts: list[NDArray[Any]]) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_collect(item, parts) for item in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{key!r}:{_collect(item, parts)}" for key, item in value.items())
        return "{" + ",".join(pairs) + "}"
    array = np.asarray(value)
    parts.append(array.reshape(-1))
    return str(list(array.shape))


def described(value: Any) -> dict[str, Any]:
    """``dtype`` and ``shape`` of a value for reports; a sequence, map or optional is called so."""
    if isinstance(value, np.ndarray):
        text = value.dtype.kind in "OU"
        return {"dtype": "text" if text else str(value.dtype), "shape": list(value.shape)}
    kinds = {list: "sequence", tuple: "sequence", dict: "map", type(None): "optional"}
    size = [len(value)] if isinstance(value, list | tuple | dict) else []
    return {"dtype": kinds.get(type(value), type(value).__name__), "shape": size}
