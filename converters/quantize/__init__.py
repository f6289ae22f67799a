"""Calibration, ranges and quantization parameters."""

from edgekit.core.optional import need

need("onnx")
