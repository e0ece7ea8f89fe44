"""Timing of many requests: a deterministic simulation of queues at every unit of the machine."""

from cimc.cost.simulate.arrivals import Arrivals
from cimc.cost.simulate.run import Simulation, simulate

__all__ = ["Arrivals", "Simulation", "simulate"]
