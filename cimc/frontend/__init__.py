"""A file becomes the ``onnx`` dialect."""
