"""Passes that clean a graph without changing what it computes: `graph -> PassResult`."""

from __future__ import annotations

from edgekit.core.optional import need

need("onnx")

from edgekit.converters.graph import Graph, Pass  # noqa: E402
from edgekit.converters.optimise.drop_dead_code import drop_dead_code  # noqa: E402
from edgekit.converters.optimise.drop_identities import drop_identities  # noqa: E402
from edgekit.converters.optimise.drop_sorts import drop_sorts  # noqa: E402
from edgekit.converters.optimise.fold_batch_norm import fold_batch_norm, fold_input_norm  # noqa: E402
from edgekit.converters.optimise.fold_constants import fold_constants  # noqa: E402
from edgekit.converters.optimise.fold_lookups import fold_lookups  # noqa: E402
from edgekit.converters.optimise.fold_pads import fold_pads  # noqa: E402
from edgekit.converters.optimise.fold_scales import fold_scales  # noqa: E402
from edgekit.converters.optimise.fuse_gemm import fuse_gemm  # noqa: E402
from edgekit.converters.optimise.fuse_hard_swish import fuse_hard_swish  # noqa: E402
from edgekit.converters.optimise.fuse_layer_norm import fuse_layer_norm  # noqa: E402
from edgekit.converters.optimise.merge_moves import merge_moves  # noqa: E402
from edgekit.converters.optimise.share_constants import share_constants  # noqa: E402
from edgekit.converters.optimise.unfold_einsum import unfold_einsum  # noqa: E402

PASSES: tuple[Pass, ...] = (
    unfold_einsum,
    fold_constants,
    fold_lookups,
    drop_sorts,
    drop_identities,
    merge_moves,
    fuse_layer_norm,
    fuse_hard_swish,
    fuse_gemm,
    fold_batch_norm,
    fold_input_norm,
    fold_scales,
    fold_pads,
    share_constants,
    drop_dead_code,
)


def optimise(graph: Graph) -> Graph:
    """Run every pass, in order, until none finds anything more to do."""
    changes = 1
    while changes:
        changes = 0
        for run in PASSES:
            result = run(graph)
            graph, changes = result.graph, changes + result.changes
    return graph
