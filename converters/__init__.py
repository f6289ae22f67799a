"""From a trained model to what an engine runs: importers, optimise, prune, quantize, lower; and gguf and tflite_file, which need no onnx."""
