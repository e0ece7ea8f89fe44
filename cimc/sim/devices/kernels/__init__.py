"""Inner loops of noisy mode: plain, and compiled to the same bits."""
