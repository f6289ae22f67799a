"""From a histogram to a range, and from a range or a weight to quantization parameters."""
