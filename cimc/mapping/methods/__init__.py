"""Placement strategies, one per file; :mod:`cimc.mapping.registry` imports them by name."""
