"""Counts of what host segments do, kept so that a run with inputs like before counts nothing again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import onnx
from numpy.typing import NDArray

from cimc.errors import CimcError
from cimc.frontend.host import HostRunner
from cimc.frontend.measured_work import Counted, instrumented
from cimc.ir.host_work import HostWork

_KEPT = 64
"""Counts that are kept per segment: as many kinds of batches are told apart."""


class HostCounts:
    """Counts the work of host segments; each is a model of ``data``, by name.

    Counts are those of equal shapes before; where elements decide sizes (bags in a loop, say), those of
    equal inputs.
    """

    def __init__(self, data: Mapping[str, NDArray[Any]], runner: HostRunner) -> None:
        self.data, self.runner = data, runner
        self._counted: dict[str, Counted] = {}
        self._known: dict[str, dict[str, list[HostWork]]] = {}

    def of(self, name: str, inputs: Mapping[str, NDArray[Any]]) -> list[HostWork]:
        """The work of segment ``name`` on ``inputs``, all requests together."""
        counted = self._counted.get(name)
        if counted is None:
            model = onnx.ModelProto.FromString(self.data[name].tobytes())
            counted = self._counted[name] = instrumented(model)
        known = self._known.setdefault(name, {})
        key = _key(inputs, counted.by_values)
        if key not in known:
            if len(known) >= _KEPT:
                known.clear()
            try:
                known[key] = counted.run(inputs, self.runner)
            except CimcError as error:  # the segment itself has run: only its count is missing
                known[key] = [HostWork(s.node, s.op, None, None, str(error), s.within) for s in counted.sites]
        return known[key]


def _key(inputs: Mapping[str, NDArray[Any]], by_values: bool) -> str:
    found = hashlib.sha256()
    for name, array in inputs.items():
        found.update(f"{name} {array.dtype} {array.shape}\0".encode())
        if by_values:
            found.update(repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())
    return found.hexdigest()
