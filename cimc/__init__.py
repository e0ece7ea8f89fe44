"""cimc: a compiler from ONNX recommendation models to RRAM compute-in-memory crossbars."""

__version__ = "0.1.0"
