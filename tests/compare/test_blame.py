"""A failure is the requests' fault only where onnxruntime rejects them too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from cimc.compare.blame import blaming_requests
from cimc.errors import CimcError, RequestError
from models.tiny import mlp, requests_for


def test_who_is_at_fault(tmp_path: Path) -> None:
    model, _ = mlp((4, 2), seed=0)
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    good = requests_for(model, batch=3)
    (name,) = good

    def fail(arrays: dict[str, np.ndarray] | None, error: Exception) -> None:
        with blaming_requests(path, arrays):
            raise error

    with pytest.raises(ZeroDivisionError):
        fail(good, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        fail(None, ZeroDivisionError())
    with pytest.raises(RequestError) as error:
        fail({name: good[name][:, :2]}, ZeroDivisionError())
    assert error.value.code == "request.rejected"
    with pytest.raises(CimcError, match="mine"):
        fail({name: good[name][:, :2]}, CimcError("x.y", "mine"))
    with blaming_requests(path, good):
        pass
