"""Component models: energy, area and leakage as cited functions of size, bits, rate and node.

They say how a figure changes.  Where a publication gives a point, a target is pinned to it and only the ratio
of a model counts (:mod:`cimc.target.scaling`).
"""
