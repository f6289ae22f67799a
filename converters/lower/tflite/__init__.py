"""ONNX to TFLite, written directly: layouts are planned per tensor, so that data move only where they must."""

from edgekit.converters.lower.tflite.legal import legalise
from edgekit.converters.lower.tflite.lower import lower

__all__ = ["legalise", "lower"]
