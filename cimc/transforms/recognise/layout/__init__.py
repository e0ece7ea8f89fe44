"""Operators that move elements of a request, and compute nothing."""
