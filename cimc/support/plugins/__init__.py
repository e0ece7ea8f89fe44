"""Plug-ins: whose code an object is, and what is installed."""
