"""Are these arrays what the model takes?  One rule for calibration requests and for those of a run."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.errors import RequestError

Arrays = dict[str, NDArray[Any]]

OPAQUE = "object"
"""Stands for the dtype of an input that only onnxruntime understands: strings, sequences."""

Signature = Iterable[tuple[str, str, tuple[int, ...]]]
"""Name, numpy dtype (or :data:`OPAQUE`) and shape (-1 = varies) of each input."""


def checked_arrays(
    inputs: Signature, arrays: Mapping[str, Any], what: str = "input", finite: Container[str] | None = None
) -> Arrays:
    """The ``inputs`` among ``arrays``, with exactly the dtypes that the model takes.

    Other arrays are left out.  ``what`` is how messages call an input.  ``finite`` names the inputs that may
    hold neither NaN nor infinity; all of them if absent.

    Raises:
        RequestError: ``request.not-npz`` for what is no mapping of arrays, ``request.missing-input``,
            ``request.bad-dtype`` (anything but a lossless conversion), ``request.bad-shape`` or
            ``request.not-finite``.
    """
    if not hasattr(arrays, "keys"):
        raise RequestError(
            "request.not-npz",
            f"arrays by the name of their {what} are needed, not {type(arrays).__name__}",
            hint="dict(numpy.load(FILE)) gives those of a file",
        )
    found: Arrays = {}
    for name, dtype, shape in inputs:
        if name not in arrays:
            raise RequestError(
                "request.missing-input",
                f"the model's {what} '{name}' is not among the arrays: {', '.join(sorted(arrays)) or '-'}",
            )
        array = np.asarray(arrays[name])
        if dtype == OPAQUE:
            found[name] = array
            continue
        if array.dtype.name != dtype and not np.can_cast(array.dtype, np.dtype(dtype), "safe"):
            raise RequestError(
                "request.bad-dtype", f"{what} '{name}' is {array.dtype}, the model takes {dtype}"
            )
        array = array.astype(dtype, copy=False)
        if array.ndim != len(shape) or any(
            want not in (-1, have) for want, have in zip(shape, array.shape, strict=True)
        ):
            shown = ", ".join("?" if d < 0 else str(d) for d in shape)
            raise RequestError(
                "request.bad-shape",
                f"{what} '{name}' has shape {list(array.shape)}, the model takes [{shown}]",
            )
        if finite is None or name in finite:
            require_finite({name: array}, what)
        found[name] = array
    return found


def require_finite(arrays: Mapping[str, Any], what: str = "input") -> None:
    """Refuse NaN and infinity.

    Raises:
        RequestError: ``request.not-finite``, which names the first array that holds any.
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            where = int(np.argwhere(~np.isfinite(array))[0][0]) if array.ndim else 0
            raise RequestError(
                "request.not-finite", f"{what} '{name}' holds NaN or infinity (first in request {where})"
            )


def as_texts(value: Any) -> Any:
    """An array of ``str`` objects as fixed-width unicode, which files hold without pickle; others unchanged.

    Texts that end in NUL keep their objects: a fixed width cannot say how many there are.
    """
    if not isinstance(value, np.ndarray) or value.dtype != object:
        return value
    texts = value.ravel().tolist()
    if not all(isinstance(text, str) and not text.endswith("\0") for text in texts):
        return value
    return np.array(texts, dtype=np.str_).reshape(value.shape)
