"""From a model file to verified artifacts: import, clean, calibrate, lower, load, compare, write."""

from edgekit.conversion.routes import convert

__all__ = ["convert"]
