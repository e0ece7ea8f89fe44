"""Executes IR of any level: the reference of every pass."""
