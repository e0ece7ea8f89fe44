"""Float layers and tables become integers, with scales."""
