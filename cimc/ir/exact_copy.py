"""A copy of a region that passes cannot tell from the original."""

from __future__ import annotations

from xdsl.ir import Operation, Region, SSAValue


def exact_copy(region: Region) -> Region:
    """A clone in which the users of every value are listed in the order of the original.

    ``Region.clone`` lists them in program order, and a pass that takes the first user of a value would do
    another thing with the clone.
    """
    values: dict[SSAValue, SSAValue] = {}
    copy = Region()
    region.clone_into(copy, value_mapper=values)
    twins: dict[Operation, Operation] = dict(zip(region.walk(), copy.walk(), strict=True))
    for old, new in values.items():
        if not old.has_more_than_one_use():
            continue
        uses = {(use.operation, use.index): use for use in new.uses}
        wanted = [(twins[use.operation], use.index) for use in old.uses if use.operation in twins]
        for key in reversed(wanted):  # the use that is added last is listed first
            new.remove_use(uses[key])
            new.add_use(uses[key])
    return copy
