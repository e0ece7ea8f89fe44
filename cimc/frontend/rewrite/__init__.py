"""What is rewritten in a model before import, as onnxruntime has no kernels for it."""
