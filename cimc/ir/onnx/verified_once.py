"""Operations that are not verified again until they change.

The frontend's passes each change few of many nodes, and the module is verified after every one of them.
"""

from __future__ import annotations

from xdsl.ir import Operation

from cimc.ir.snapshot import parts_of, same


class VerifiedOnce(Operation):
    """An operation whose verifier looks at nothing but operands, results, properties and attributes.

    With regions, or at the end of a block, it is verified always.
    """

    def verify(self, verify_nested_ops: bool = True) -> None:
        """Verify the operation, unless it is what it was when it last passed."""
        if self.regions or self.next_op is None:
            super().verify(verify_nested_ops)
            return
        known, now = self.__dict__.get("_verified"), parts_of(self)
        if known is None or not same(known, now):
            super().verify(verify_nested_ops)
            self.__dict__["_verified"] = now
