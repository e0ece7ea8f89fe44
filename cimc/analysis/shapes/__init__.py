"""Symbolic shapes: the extents of every value in terms of the model's dynamic dimensions."""
