"""Calibration, ranges and quantization parameters."""
