"""Graph passes that bring a model to operators which map one to one onto TFLite's; the result is still executable ONNX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edgekit.converters.graph import Graph, PassResult
from edgekit.converters.lower.tflite.legal import (
    activations,
    arithmetic,
    depth,
    flatten,
    gelu,
    grid_sample,
    groups,
    lookups,
    masks,
    matrix,
    normalise,
    padding,
    pools,
    recurrent,
    reductions,
    resample,
    reverse,
    select,
    shapes,
    splits,
    stem,
)
from edgekit.converters.lower.tflite.legal.rewrite import rewrite
from edgekit.converters.optimise.fold_constants import fold_constants
from edgekit.converters.rewriting import Rule, rewrite_at_once

GraphPass = Callable[[Graph], PassResult]


def legalise(graph: Graph, *, edgetpu: bool) -> PassResult:
    """The graph in operators that TFLite has, padded, grouped and broadcast the way TFLite does it.

    `edgetpu` also takes apart what the Edge TPU does not map though TFLite has it. Guarantees: same inputs and outputs, same
    values but for float rounding. What has no TFLite form stays, and `lower` refuses it by name.
    """
    changes = 0
    for step in passes(edgetpu):
        result = step(graph)
        graph, changes = result.graph, changes + result.changes
    return PassResult(graph=graph, changes=changes)


def passes(edgetpu: bool) -> tuple[GraphPass, ...]:
    """The passes in the order they run."""
    rules = (
        *arithmetic.RULES,
        *(arithmetic.EDGETPU_RULES if edgetpu else ()),
        *activations.RULES,
        *normalise.RULES,
        *reductions.RULES,
        *grid_sample.RULES,
        *lookups.RULES,
        *masks.RULES,
        *matrix.RULES,
        *(matrix.EDGETPU_RULES if edgetpu else ()),
        *shapes.RULES,
        *resample.RULES,
        *padding.PAD_RULES,
        stem.one_convolution if edgetpu else stem.one_space_to_depth,
    )
    late = (
        groups.dense_transposed,
        groups.whole_transposed,
        *((groups.split_groups,) if edgetpu else ()),
        *padding.RULES,
        *pools.RULES,
    )
    return (
        constant_outputs,
        _as_pass(recurrent.unroll_by_step if edgetpu else recurrent.unroll),
        _as_pass(reverse.reversed_by_index),
        *((_at_once(splits.slices_for_unequal_parts),) if edgetpu else ()),
        _as_pass(depth.in_frames),
        *(_as_pass(rule) for rule in (shapes.view_of_view, arithmetic.divide_by_constant)),
        gelu.fuse,
        *(_as_pass(rule) for rule in rules),
        select.select_channels,
        _as_pass(select.fold_selection),
        _as_pass(select.fold_selection_back),
        *(_as_pass(rule) for rule in (*late, shapes.view_of_view, flatten.channels_last_flatten, shapes.same_rank)),
    )


def constant_outputs(graph: Graph) -> PassResult:
    """What does not depend on the inputs is constant, graph outputs included: engines stumble over nodes without computed inputs."""
    folded = fold_constants(replace(graph, outputs=()))
    return PassResult(graph=replace(folded.graph, outputs=graph.outputs) if folded.changes else graph, changes=folded.changes)


def _at_once(rule: Rule) -> GraphPass:
    """For a rule whose places have nothing to do with one another, and are many: one for every step of a recurrent layer."""
    return lambda graph: rewrite_at_once(graph, rule)


def _as_pass(rule: Callable[..., object]) -> GraphPass:
    return lambda graph: rewrite(graph, rule)  # type: ignore[arg-type]
