"""Rewrites within the ``onnx`` dialect."""
