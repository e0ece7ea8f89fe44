"""Compiled and plain kernels of the simulator: equal bits, different speed."""
