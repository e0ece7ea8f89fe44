"""Counts of what host segments do, kept so that a run with inputs like before counts nothing again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import onnx
from numpy.typing import NDArray

from cimc.errors import CimcError
from cimc.host.measured_work import Counted, instrumented
from cimc.host.runtime import HostRunner
from cimc.remarks.host_work import HostWork
from cimc.support.once import Once

_KEPT = 64
"""Counts that are kept per segment: as many kinds of batches are told apart."""


class HostCounts:
    """Counts the work of host segments; each is a model of ``data``, by name.

    Counts are those of equal shapes before; where elements decide sizes (bags in a loop, say), those of
    equal inputs.  Threads may count at once: at worst they count the same.
    """

    def __init__(self, data: Mapping[str, NDArray[Any]], runner: HostRunner) -> None:
        self.data, self.runner = data, runner
        self._counted: Once[str, Counted] = Once()
        self._known: dict[str, dict[str, list[HostWork]]] = {}

    def _instrumented(self, name: str) -> Counted:
        return instrumented(onnx.ModelProto.FromString(self.data[name].tobytes()))

    def of(self, name: str, inputs: Mapping[str, NDArray[Any]]) -> list[HostWork]:
        """The work of segment ``name`` on ``inputs``, all requests together."""
        counted = self._counted.get(name, self._instrumented)
        key = _key(inputs, counted.by_values)
        found = self._known.get(name, {}).get(key)
        if found is None:
            try:
                found = counted.run(inputs, self.runner)
            except CimcError as error:  # the segment itself has run: only its count is missing
                found = [HostWork(s.node, s.op, None, None, str(error), s.within) for s in counted.sites]
            kept = self._known.get(name, {})
            self._known[name] = {**(kept if len(kept) < _KEPT else {}), key: found}
        return found


def _key(inputs: Mapping[str, NDArray[Any]], by_values: bool) -> str:
    found = hashlib.sha256()
    for name, array in inputs.items():
        found.update(f"{name} {array.dtype} {array.shape}\0".encode())
        if by_values:
            found.update(repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())
    return found.hexdigest()
