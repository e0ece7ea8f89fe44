"""Matrices and tables become blocks of array size, with the memory, copies and converters that serve them."""
