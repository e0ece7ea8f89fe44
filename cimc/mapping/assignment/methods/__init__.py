"""Placement strategies, one per file; :mod:`cimc.mapping.assignment.strategy_registry` imports them by
name."""
