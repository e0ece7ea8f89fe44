"""The ``onnx`` dialect, its attributes and tensors, and what the compiler knows of each operator."""
