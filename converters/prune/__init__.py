"""Make a network smaller where its outputs depend on it least: whole channels, single weights, or shared values.

| step | modules |
| --- | --- |
| in one call, in rounds | `prune`, `rounds` |
| which channels can only go together | `coupling/` |
| what they are worth, and how much is felt of them at the outputs | `measure/` |
| how many each family keeps | `allocate` |
| take them out of the graph | `cut` |
| let what is left make up for them | `mend/` |
| single weights: 2:4, masks, clusters | `weights/` |
"""

from edgekit.core.optional import need

need("onnx")

from edgekit.converters.prune.prune import Pruned, PruneReport, Shrunk, prune  # noqa: E402

__all__ = ["PruneReport", "Pruned", "Shrunk", "prune"]
