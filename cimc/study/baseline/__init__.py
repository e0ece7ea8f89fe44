"""What the CPU at hand does with the same model and requests, and how the chip compares."""
