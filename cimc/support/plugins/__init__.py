"""Plug-ins: whose code an object is, what is installed, and modules that the user asks for."""
