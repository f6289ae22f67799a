"""One round of onnx's shape inference over a graph, without its weights: inference reads the model as bytes, and sizes are all it needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import onnx

from edgekit.converters.graph import Array, Graph, spec_of
from edgekit.converters.graph_onnx import specs_of, to_model, to_value
from edgekit.converters.importers.onnx.sizes import ensure_sliceable
from edgekit.core.errors import InputError

SHAPE_FLOATS = 64
"""Elements of a constant of reals that may say a size: the scales of a Resize, the limits of a Range."""
SHAPE_INTEGERS = 4096
"""Elements of a constant of integers that may be a shape, axes, pads or the lengths of a Split."""


def with_shapes(graph: Graph) -> Graph:
    """The graph with the spec of every tensor whose static shape onnx can tell, and without constants that nothing reads.

    Specs that the graph has of computed tensors are remarks: they count where inference knows nothing, and are forgotten
    when they contradict it. Raises `InputError` when the operators themselves contradict one another.
    """
    graph = _without_unread(graph)
    try:
        inferred = _inferred(graph)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as exc:
        raise InputError(
            f"the model contradicts itself: {str(exc).strip().splitlines()[-1]}", "export the model again"
        ) from exc
    found = specs_of(inferred.graph)
    found |= {name: spec_of(name, value) for name, value in graph.constants.items()}
    return replace(graph, outputs=tuple(found.get(spec.name, spec) for spec in graph.outputs), specs=found)


def _without_unread(graph: Graph) -> Graph:
    """Constants that folding has used up go: nothing later should judge or carry them."""
    read = graph.consumers.keys() | graph.output_names
    return replace(graph, constants={name: value for name, value in graph.constants.items() if name in read})


def _inferred(graph: Graph) -> onnx.ModelProto:
    model = to_model(_weightless(graph))
    ensure_sliceable(model)
    remarks = list(_remarks(graph))
    model.graph.value_info.extend(remarks)
    try:
        return _strictly(model)
    except onnx.shape_inference.InferenceError:
        if not remarks:
            raise
    # What an exporter wrote about inner shapes is a remark, not the model; its operators decide.
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return _strictly(model)


def _strictly(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def _weightless(graph: Graph) -> Graph:
    """The graph with its large constants as inputs of the same type and shape, and with what is known of its outputs."""
    large = {name: value for name, value in graph.constants.items() if _is_large(value)}
    return replace(
        graph,
        inputs=(*graph.inputs, *(spec_of(name, value) for name, value in large.items())),
        outputs=tuple(graph.specs.get(spec.name, spec) for spec in graph.outputs),
        constants={name: value for name, value in graph.constants.items() if name not in large},
    )


def _is_large(value: Array) -> bool:
    return value.size > (SHAPE_INTEGERS if value.dtype.kind in "iub" else SHAPE_FLOATS)


def _remarks(graph: Graph) -> Iterator[onnx.ValueInfoProto]:
    """What is known of inner tensors; a size of zero or less is for inference alone to find."""
    for name in graph.producers.keys() - graph.output_names:
        spec = graph.specs.get(name)
        if spec is not None and min(spec.shape, default=1) > 0:
            yield to_value(spec)
