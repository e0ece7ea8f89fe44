"""A result beside its reference: bounds, and who is at fault."""
