"""Blocks get chips, tiles and arrays."""
