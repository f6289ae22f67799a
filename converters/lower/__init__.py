"""One package or file per output format: `lower(graph, ...) -> Lowered`."""

from edgekit.core.optional import need

need("onnx")
