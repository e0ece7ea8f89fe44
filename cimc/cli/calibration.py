"""Calibration requests that a user gives: judged before a pass trips over them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from cimc.cli.requests import Arrays
from cimc.errors import CimcError, RequestError
from cimc.ir.types import element_of, element_to_dtype, shape_of
from cimc.passes.evaluate import main_function, signature


def checked_calibration(module: ModuleOp, arrays: Arrays) -> Arrays:
    """The module's inputs among ``arrays``, with the dtypes that it takes.

    Raises:
        RequestError: ``request.missing-input``, ``request.bad-dtype``, ``request.bad-shape`` or
            ``request.not-finite``.
    """
    function = main_function(module)
    names, _ = signature(function)
    out: Arrays = {}
    for name, argument in zip(names, function.body.block.args, strict=True):
        if name not in arrays:
            raise RequestError(
                "request.missing-input",
                f"the model's input '{name}' is not among the calibration arrays: "
                f"{', '.join(sorted(arrays)) or '-'}",
            )
        array, element, shape = arrays[name], element_of(argument.type), shape_of(argument.type)
        if element is not None:
            dtype = element_to_dtype(element)
            if array.dtype != dtype and not np.can_cast(array.dtype, dtype, "safe"):
                raise RequestError(
                    "request.bad-dtype",
                    f"calibration input '{name}' is {array.dtype}, the model takes {dtype}",
                )
            array = array.astype(dtype, copy=False)
        if shape is not None and (
            array.ndim != len(shape)
            or any(w not in (-1, h) for w, h in zip(shape, array.shape, strict=False))
        ):
            shown = ", ".join("?" if d < 0 else str(d) for d in shape)
            raise RequestError(
                "request.bad-shape",
                f"calibration input '{name}' has shape {list(array.shape)}, the model takes [{shown}]",
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise RequestError("request.not-finite", f"calibration input '{name}' holds NaN or infinity")
        out[name] = array
    return out


@contextmanager
def blaming_requests(model: Path, arrays: Arrays | None) -> Iterator[None]:
    """Where a pass fails on requests that onnxruntime rejects too, the requests are at fault, not cimc.

    Raises:
        RequestError: ``request.rejected`` with what onnxruntime says.
    """
    try:
        yield
    except CimcError:
        raise
    except Exception:
        if arrays is None:
            raise
        from cimc.cli.reference import reference_outputs

        try:
            reference_outputs(model, arrays)
        except CimcError as error:
            raise RequestError(
                "request.rejected",
                f"the calibration requests do not fit the model: {error.message}",
                location=error.location,
                hint="all inputs must hold the same number of requests",
            ) from None
        raise
