"""What one pass has to say."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from cimc.errors import ProgramError
from cimc.remarks.record import Misfit, Record, json_of, record_of

R = TypeVar("R", bound="Remark")
BESIDE = "beside"


def beside(entry: str) -> dict[str, Any]:
    """Metadata of a field that a program stores as an entry of its own, beside that of the remark."""
    return {BESIDE: entry}


class Remark(Record):
    """Base of the frozen dataclasses in which passes say what they found out and decided.

    Fields have the types that :mod:`cimc.remarks.record` lists.

    Class attributes:
        name: of the entry in a program; of a plug-in: the name of its pass.
    """

    name: ClassVar[str] = ""

    def to_json(self) -> dict[str, Any]:
        """All fields as one object.

        Raises:
            TypeError, ValueError: a field holds what is no JSON.
        """
        found: dict[str, Any] = json_of(self)
        return found

    @classmethod
    def from_json(cls: type[R], found: object) -> R:
        """What :meth:`to_json` gave.

        Raises:
            ProgramError: ``program.bad-remark``: a key too many or too few, or a value of another type.
        """
        try:
            return record_of(cls, found, cls.name)
        except Misfit as error:
            raise bad_remark(str(error)) from None


def bad_remark(why: str) -> ProgramError:
    """The error for what no pass can have said."""
    return ProgramError("program.bad-remark", f"remark {why}", hint="compile again")
