"""Instances of the dense part in the IR."""

from __future__ import annotations

import numpy as np
import pytest

from cimc.errors import PassError
from cimc.ir.cim.copies import CopiesOp, InstancesOp, copies_of, instances_of, put_before_function
from cimc.ir.cim.number_table import NumbersAttr
from cimc.ir.text import new_context, parse_ir, print_ir

MAIN = "func.func @main() {\n  func.return\n}"


def test_they_read_back() -> None:
    ctx = new_context()
    module = parse_ir(f"cim.copies 2\ncim.instances <[[3, 4], [5, 6]]>\n{MAIN}", ctx)
    module.verify()
    again = parse_ir(print_ir(module), ctx)
    for each in (module, again):
        assert copies_of(each) == 2
        np.testing.assert_array_equal(instances_of(each, ctx.store), [[3, 4], [5, 6]])
    plain = parse_ir(MAIN, ctx)
    assert copies_of(plain) == 1
    assert instances_of(plain, ctx.store) is None
    put_before_function(plain, CopiesOp(2))
    put_before_function(
        plain, InstancesOp(NumbersAttr.of(np.array([[3, 4], [5, 6]]), ctx.store, "i", lambda _: ()))
    )
    assert print_ir(plain) == print_ir(module)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cim.copies 1", "at least twice"),
        ("cim.copies 2\ncim.instances <[[1], [1]]>", "no tile belongs to two"),
        ("cim.copies 2\ncim.instances <[1, 2]>", "a row of tiles"),
        ("cim.copies 3\ncim.instances <[[1], [2]]>", "how many instances"),
        ("cim.instances <[[1], [2]]>", "how many instances"),
    ],
)
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(PassError, match=why):
        parse_ir(f"{text}\n{MAIN}", new_context())
