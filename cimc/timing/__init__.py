"""Timing of many requests: a deterministic simulation of queues at every unit of the machine."""

from cimc.timing.arrivals import Arrivals
from cimc.timing.dispatch import DISPATCHES, Dispatch
from cimc.timing.simulation import Simulation, simulate

__all__ = ["DISPATCHES", "Arrivals", "Dispatch", "Simulation", "simulate"]
