"""What the vector unit computes."""
