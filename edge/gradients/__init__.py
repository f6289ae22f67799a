"""A graph in PyTorch: the numbers that ONNX Runtime computes, and gradients through them (extra `[torch]` or `[train]`)."""
