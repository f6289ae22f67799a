"""Make a network smaller where its outputs depend on it least: whole channels, single weights, or shared values."""

from edgekit.core.optional import need

need("onnx")

from edgekit.converters.prune.prune import Pruned, PruneReport, Shrunk, prune  # noqa: E402

__all__ = ["PruneReport", "Pruned", "Shrunk", "prune"]
