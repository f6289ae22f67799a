"""ONNX files: opset 9 to the newest, external data, functions, half precision, ML operators; every shape known, every name unique."""
