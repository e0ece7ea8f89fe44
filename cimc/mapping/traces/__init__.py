"""Access traces: which rows of which tables requests read, how often, and which rows together."""

from cimc.mapping.traces.collect import BagSource, collect
from cimc.mapping.traces.trace import TableTrace, Trace

__all__ = ["BagSource", "TableTrace", "Trace", "collect"]
