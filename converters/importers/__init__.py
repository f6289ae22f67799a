"""One file per source format: `load(path) -> Graph`."""

from edgekit.core.optional import need

need("onnx")
