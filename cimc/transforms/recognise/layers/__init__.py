"""Products: linear layers, convolutions, interactions."""
