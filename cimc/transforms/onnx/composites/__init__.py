"""Operators that stand for several, taken apart."""
