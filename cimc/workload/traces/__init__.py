"""Access traces: which rows of which tables requests read, how often, and which rows together."""

from cimc.workload.traces.collect import BagSource, collect
from cimc.workload.traces.trace import TableTrace, Trace

__all__ = ["BagSource", "TableTrace", "Trace", "collect"]
