"""The one exception family of cimc.

Every error a user can cause carries a stable dotted ``code`` (``docs/errors.md`` lists them), a
one-line ``message``, where known a ``location`` (file, node, tensor) and a ``hint`` that says what to
change.  The command line prints these without a traceback and exits with ``exit_code``; anything that
is not a :class:`CimcError` is a bug, prints its traceback and exits 70: among them :class:`InternalError`,
by which the compiler refuses its own work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Location:
    """Where in the user's input an error lies; every part is optional."""

    file: str | None = None
    node: str | None = None
    tensor: str | None = None

    def __str__(self) -> str:
        parts = [self.file] if self.file else []
        if self.node:
            parts.append(f"node {self.node}")
        if self.tensor:
            parts.append(f"tensor {self.tensor}")
        return ", ".join(parts)


def printable(text: str, limit: int = 120) -> str:
    """Escape control characters in untrusted ``text`` and cut it to ``limit`` characters."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


class CimcError(Exception):
    """Base of all errors that cimc raises on purpose."""

    exit_code = 2

    def __init__(
        self,
        code: str,
        message: str,
        *,
        location: Location | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.location = location
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.message} [{self.code}]"
        if self.location and str(self.location):
            text = f"{self.location}: {text}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text

    def to_json(self) -> dict[str, Any]:
        """The error as the ``error`` object of ``--json`` output."""
        where = self.location or Location()
        return {
            "code": self.code,
            "message": self.message,
            "file": where.file,
            "node": where.node,
            "tensor": where.tensor,
            "hint": self.hint,
        }


class TargetError(CimcError):
    """A target description is missing, malformed or inconsistent."""


class DeviceError(CimcError):
    """A device description is missing, malformed or inconsistent, or cannot be simulated as asked."""


class ModelError(CimcError):
    """An ONNX file (or its external data) cannot be accepted."""


class RequestError(CimcError):
    """The arrays of a request file do not fit the model: names, dtypes, shapes, ids out of range."""


class PassError(CimcError):
    """A pipeline string is wrong, or a pass was given IR that it cannot work on."""


class ProgramError(CimcError):
    """A program or its text form is damaged, inconsistent, or for another target."""


class InternalError(Exception):
    """A pass made IR, or a program, of a model that the compiler's own verifiers refuse.

    The model is not to blame, so this is no :class:`CimcError`: it is a bug, and worth a report.  Its cause
    is the error of the verifier.
    """


@dataclass(frozen=True)
class Shortage:
    """Why something cannot be placed: the resource, what is asked, what there is, what would help."""

    resource: str
    demand: int
    bound: int
    unit: str
    levers: tuple[str, ...] = field(default=())


class InfeasibleError(CimcError):
    """The target cannot hold the model; ``shortage`` says in which resource and by how much."""

    def __init__(self, shortage: Shortage, *, subject: str = "the model") -> None:
        unit, resource = shortage.unit, shortage.resource
        what = unit if unit == resource else f"{unit} of {resource}"
        super().__init__(
            "mapping.infeasible",
            f"{subject} needs {shortage.demand} {what}, the target has {shortage.bound}",
            hint="; or ".join(shortage.levers) or None,
        )
        self.shortage = shortage


class CheckFailed(CimcError):
    """A run or a pass disagrees with its reference beyond the bound; exit code 1."""

    exit_code = 1
