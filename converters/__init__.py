"""From a trained model to what an engine runs: importers, optimise, prune, quantize, lower."""

from edgekit.core.optional import need

need("onnx")
