"""Copies of rows on further arrays, and reading the arrays that cover a bag: after MaxEmbed, EuroSys 2024.

Programs cannot hold them: a row of a table has one slot (``cim.row_order``).  docs/grouping.md says what is
missing; here the idea is measured.
"""

from __future__ import annotations

import numpy as np

from cimc.mapping.dtypes import FloatArray, IntArray
from cimc.support.row_bags import RowBags

_LOOKED_AT = 10
"""Pages of a row among which the reader chooses."""


def copied_pages(slots: IntArray, height: int, bags: RowBags, share: float) -> list[IntArray]:
    """Further pages of ``height`` rows each, so many that they hold ``share`` of the table's rows.

    A row scores the pages beyond one that its bags touch.  Each of the best rows founds a page, with the rows
    of other pages that its bags hold most often.
    """
    page, bag_of, rows = slots // height, bags.bag_of, len(slots)
    number = int(page.max()) + 1
    each = np.bincount(np.unique(bag_of * number + page[bags.rows]) // number, minlength=len(bags)) - 1
    score = np.bincount(bags.rows, each[bag_of], rows)
    start, bag = bags.by_row(rows)
    found = []
    for founder in np.argsort(-score, kind="stable")[: int(share * rows / height)].tolist():
        mine = bag[start[founder] : start[founder + 1]]
        held = np.concatenate([bags.rows[bags.starts[b] : bags.starts[b + 1]] for b in mine])
        together = np.bincount(held, minlength=rows)
        together[page == page[founder]] = 0
        near = np.argsort(-together, kind="stable")[: height - 1]
        found.append(np.append(near[together[near] > 0], founder))
    return found


def pages_read(slots: IntArray, height: int, copies: list[IntArray], bags: RowBags) -> FloatArray:
    """Pages that each bag reads: rows with the fewest pages first, each from the page that covers most."""
    number = int(slots.max()) // height + 1
    of = [[page] for page in (slots // height).tolist()]
    for k, rows in enumerate(copies):
        for row in rows.tolist():
            of[row].append(number + k)
    read = np.zeros(len(bags))
    for b in range(len(bags)):
        left = set(bags.rows[bags.starts[b] : bags.starts[b + 1]].tolist())
        holds: dict[int, list[int]] = {}
        for row in sorted(left):
            for page in of[row][:_LOOKED_AT]:
                holds.setdefault(page, []).append(row)
        for row in sorted(left, key=lambda r: (len(of[r]), r)):
            if row not in left:
                continue
            best = max(of[row][:_LOOKED_AT], key=lambda p: (sum(r in left for r in holds[p]), -p))
            left.difference_update(holds[best])
            read[b] += 1
    return read
