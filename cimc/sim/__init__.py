"""The functional simulator."""
