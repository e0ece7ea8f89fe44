"""Shape rules per operator; importing this package registers all of them."""

from cimc.analysis.shapes.rules import computations, control_flow, features, reshaping, selections, windows

__all__ = ["computations", "control_flow", "features", "reshaping", "selections", "windows"]
