"""Samples for calibration, from wherever people keep them."""
