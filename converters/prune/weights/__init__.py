"""Single weights instead of channels: zeros in the pattern that an engine skips, or few values that are shared."""
