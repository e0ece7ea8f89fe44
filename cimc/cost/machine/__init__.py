"""The machine as a whole: what limits any mapping of a program on it."""
