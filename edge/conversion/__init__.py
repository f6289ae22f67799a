"""From a model file to verified artifacts: import, clean, calibrate, lower, load, compare, write."""

from edgekit.conversion.convert import Request, convert, convert_one

__all__ = ["Request", "convert", "convert_one"]
