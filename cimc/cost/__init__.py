"""Cost: counted events become time, energy and area with cited constants."""

from cimc.cost.area import Area, area_of
from cimc.cost.energy import COMPONENTS, NOT_MODELLED, Energy, EnergyItem, energy_of
from cimc.cost.estimate import Cost, estimate
from cimc.cost.events import EVENTS, Events, count_events
from cimc.cost.list_schedule import Span, Timing, time_program
from cimc.cost.static_power import StaticItem, StaticPower, static_power_of
from cimc.cost.work import CostError

__all__ = [
    "COMPONENTS",
    "EVENTS",
    "NOT_MODELLED",
    "Area",
    "Cost",
    "CostError",
    "Energy",
    "EnergyItem",
    "Events",
    "Span",
    "StaticItem",
    "StaticPower",
    "Timing",
    "area_of",
    "count_events",
    "energy_of",
    "estimate",
    "static_power_of",
    "time_program",
]
