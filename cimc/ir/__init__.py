"""The three dialects (``onnx``, ``rec``, ``cim``), the stores beside them, and text in and out."""
