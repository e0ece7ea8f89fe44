"""A description of a few tables, and what its tests vary."""

from __future__ import annotations

from cimc.study.planning.description import Description, parse_description

TEXT = """
name: small
dense: {features: 5, bottom: [16, 8], top: [16, 1]}
interaction: INTERACTION
tables:
  - {name: a, count: 2, rows: ROWS, dim: 8, pooling: 3, skew: 0.9}
  - {name: b, count: 1, rows: 700, dim: 8, skew: 1.05}
  - {name: c, count: 1, rows: 90, dim: 8, pooling: 2.5, skew: 0.5}
"""


def small(rows: int = 5000, interaction: str = "dot") -> Description:
    return parse_description(TEXT.replace("ROWS", str(rows)).replace("INTERACTION", interaction), "m.yaml")
