"""Devices: what programmed, aged and noisy cells do to a computation (``--mode noisy``)."""
