"""Comparisons: many compilations of models onto targets by mapping strategies, measured side by side."""
