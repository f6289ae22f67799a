"""A legalised graph as a .tflite file."""

from __future__ import annotations

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.base import Lowered
from edgekit.converters.lower.tflite.emission import Emission, Stored
from edgekit.converters.lower.tflite.fuse import fuse_activations
from edgekit.converters.lower.tflite.layout import identity, stored
from edgekit.converters.lower.tflite.ops import TABLE, refusals
from edgekit.converters.lower.tflite.plan import Plan, plan
from edgekit.converters.lower.tflite.program import Program, Tensor
from edgekit.converters.lower.tflite.serialise import serialise
from edgekit.converters.lower.tflite.site import Site
from edgekit.converters.lower.tflite.versions import oldest_runtime
from edgekit.converters.quantize.parameters import Quantization
from edgekit.converters.quantize.recorded.unread import unread
from edgekit.core.errors import Unsupported
from edgekit.core.schema import Port, Precision, TensorSpec

FILE = "model.tflite"
ANOTHER_WAY = "convert for a board that runs ONNX, or export the model without it"


def lower(graph: Graph, *, precision: Precision, quantization: Quantization | None, edgetpu: bool) -> Lowered:
    """The .tflite file of a graph that `legalise` returned, and how its tensors relate to the source's.

    fp16 stores weights in half precision and computes in float32; int8, int16x8 and dynamic need a `quantization`. Raises `Unsupported` naming
    the first node that has no TFLite form and counting the others, `ConversionError` where given integers do not fit.
    """
    program, layouts = emit(graph, precision=precision, quantization=quantization)
    description = "edgekit: int8 for the Edge TPU" if edgetpu else f"edgekit: {precision}"
    data = serialise(
        program, description=description, metadata={"min_runtime_version": oldest_runtime(program).ljust(16, "\0")}
    )
    sources = {spec.name: spec for spec in (*graph.inputs, *graph.outputs)}
    return Lowered(
        files={FILE: data},
        roles={FILE: "model"},
        inputs=tuple(_port(sources[name], tensor, layouts) for name, tensor in program.inputs),
        outputs=tuple(_port(sources[name], tensor, layouts) for name, tensor in program.outputs),
        float_layers=_float_layers(graph, quantization),
    )


def emit(graph: Graph, *, precision: Precision, quantization: Quantization | None) -> tuple[Program, Plan]:
    """The program of a legalised graph and the layouts it was planned with."""
    _refuse(graph)
    fused = fuse_activations(graph, quantization.float_nodes if quantization else frozenset())
    planned = plan(fused, lambda node: TABLE[node.op].arrange)
    emission = Emission(fused, half=precision == "fp16")
    inputs = tuple((spec.name, _input(spec, planned, quantization)) for spec in graph.inputs)
    emission.values.update((name, Stored(tensor=tensor, permutation=planned.layouts[name])) for name, tensor in inputs)
    for node in fused.nodes:
        own = quantization if quantization and is_int8(fused, node, quantization) else None
        arrangement = planned.arrangements[node.name]
        site = Site(
            node=node,
            graph=fused,
            arrangement=arrangement,
            emission=emission,
            quantization=own,
            dynamic=quantization is not None and node.name in quantization.dynamic,
            grids=quantization.weights if quantization else {},
        )
        TABLE[node.op].emit(site)
    outputs = _outputs(graph, planned, emission, {tensor for _, tensor in inputs})
    return Program(name=graph.name, operators=tuple(emission.operators), inputs=inputs, outputs=outputs), planned


def is_int8(graph: Graph, node: Node, quantization: Quantization) -> bool:
    """Whether a node computes in integers: TFLite can, nobody keeps it in float, and every computed float tensor has some."""
    members = {node.name, *node.attributes.get("members", ())}  # type: ignore[misc]
    floats = [name for name in (*node.inputs, *node.outputs) if name and graph.specs[name].dtype == "float32"]
    computed = [name for name in floats if name not in graph.constants]
    allowed = TABLE[node.op].int8 and not members & quantization.float_nodes
    return bool(allowed and computed and all(name in quantization.activations for name in computed))


def _refuse(graph: Graph) -> None:
    reasons = tuple(refusals(graph))
    if reasons:
        others = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        reason, instead = unread(graph) or (reasons[0], ANOTHER_WAY)
        raise Unsupported(f"tflite: {reason}{others}", instead)


def _input(spec: TensorSpec, planned: Plan, quantization: Quantization | None) -> Tensor:
    params = quantization.activations.get(spec.name) if quantization else None
    shape = stored(spec.shape, planned.layouts[spec.name])
    return Tensor(name=spec.name, shape=shape, dtype=params.dtype if params else spec.dtype, params=params)


def _outputs(graph: Graph, planned: Plan, emission: Emission, taken: set[Tensor]) -> tuple[tuple[str, Tensor], ...]:
    """A tensor of its own for every graph output, in the shape that its permutation says; a constant one is that constant."""
    outputs = []
    for spec in graph.outputs:
        if spec.name in graph.constants:
            outputs.append(
                (spec.name, Tensor(name=spec.name, shape=spec.shape, dtype=spec.dtype, data=graph.constants[spec.name]))
            )
            continue
        here = emission.values[spec.name].tensor
        tensor = emission.viewed(here, stored(spec.shape, planned.layouts[spec.name]))
        tensor = emission.copied(tensor) if tensor in taken else tensor
        taken = taken | {tensor}
        outputs.append((spec.name, tensor))
    return tuple(outputs)


def _port(source: TensorSpec, tensor: Tensor, planned: Plan) -> Port:
    layout = planned.layouts.get(source.name, identity(len(source.shape)))
    scale = float(tensor.params.scale[0]) if tensor.params else None
    zero_point = int(tensor.params.zero_point[0]) if tensor.params else None
    engine = TensorSpec(name=source.name, shape=tensor.shape, dtype=tensor.dtype, scale=scale, zero_point=zero_point)
    return Port(source=source, engine=engine, permutation=None if layout == identity(len(layout)) else layout)


def _float_layers(graph: Graph, quantization: Quantization | None) -> tuple[str, ...]:
    """In an integer model, the nodes that compute with floats alone, whoever decided so."""
    if quantization is None:
        return ()
    nodes = (node for node in graph.nodes if _has_floats(graph, node) and node.name not in quantization.dynamic)
    return tuple(node.name for node in nodes if not is_int8(graph, node, quantization))


def _has_floats(graph: Graph, node: Node) -> bool:
    return any(name and graph.specs[name].dtype == "float32" for name in (*node.inputs, *node.outputs))
