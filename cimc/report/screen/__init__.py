"""First screens: what a command found, in at most 25 lines; everything else stands behind ``--details``."""
