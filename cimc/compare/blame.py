"""Calibration requests that a user gives: at fault where onnxruntime rejects them too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cimc.errors import CimcError, RequestError
from cimc.workload.request_rules import Arrays


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
        from cimc.compare.reference import reference_outputs

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
