"""From a trained model to what an engine runs: importers, optimise, prune, quantize, lower; and gguf, which needs no onnx."""
