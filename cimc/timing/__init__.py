"""Timing of many requests: a deterministic simulation of queues at every unit of the machine."""

from cimc.timing.arrivals import Arrivals
from cimc.timing.simulation import Simulation, simulate

__all__ = ["Arrivals", "Simulation", "simulate"]
