"""QuantizeLinear and DequantizeLinear pairs in an ONNX graph: the explicit form in which ONNX engines take integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from edgekit.converters.graph import Array, Attribute, Graph, Node
from edgekit.converters.names import Names
from edgekit.converters.quantize.parameters import Quantization, QuantParams, quantize
from edgekit.converters.quantize.ranges.weights import bias_params
from edgekit.converters.quantize.rules.roles import HEAVY
from edgekit.core.schema import TensorSpec

Reads = Callable[[Node, str], bool]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dressing:
    """How a graph is dressed in Q/DQ.

    `activations` get a pair after their producer; `reads(node, tensor)` says which readers see its far side.
    With `integers`, constants are stored as int8 weights and int32 biases behind a DequantizeLinear, and graph outputs show
    what the integers gave; without, float weights go through a pair and biases stay float.
    """

    activations: Mapping[str, QuantParams]
    weights: Mapping[str, QuantParams]
    float_nodes: frozenset[str]
    reads: Reads
    integers: bool


def dressing_of(quantization: Quantization, *, reads: Reads, integers: bool, bare: frozenset[str] = frozenset()) -> Dressing:
    """The dressing of a quantization, leaving the activations in `bare` without a pair."""
    return Dressing(
        activations={name: params for name, params in quantization.activations.items() if name not in bare},
        weights=quantization.weights,
        float_nodes=quantization.float_nodes,
        reads=reads,
        integers=integers,
    )


def dress(graph: Graph, dressing: Dressing) -> Graph:
    """The graph with Q/DQ pairs; inputs and outputs keep their names and stay float. Needs operator set 13 for per-channel."""
    return dress_named(graph, dressing)[0]


def dress_named(graph: Graph, dressing: Dressing) -> tuple[Graph, Mapping[str, str]]:
    """The same, and what each activation with a pair is called on the pair's far side."""
    new = _Additions(names=Names(graph))
    after: dict[str, str] = {}
    for spec in graph.inputs:
        if spec.name in dressing.activations:
            after[spec.name] = _pair(graph, dressing, new, spec.name, spec.name)
    for node in graph.nodes:
        inputs = tuple(_read(graph, dressing, new, after, node, index) for index in range(len(node.inputs)))
        hidden = {name: new.names.free(f"{name}/float") for name in node.outputs if _shows_integers(graph, dressing, name)}
        new.nodes.append(replace(node, inputs=inputs, outputs=tuple(hidden.get(name, name) for name in node.outputs)))
        for name in node.outputs:
            if name in dressing.activations:
                after[name] = _pair(graph, dressing, new, name, hidden.get(name, name))
    return graph.with_nodes(new.nodes, constants=new.constants, specs=new.specs), after


@dataclass(kw_only=True)
class _Additions:
    """What a walk over the nodes has built so far."""

    names: Names
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    specs: dict[str, TensorSpec] = field(default_factory=dict)
    dressed: dict[str, str] = field(default_factory=dict)

    def constant(self, name: str, value: Array) -> str:
        chosen = self.names.free(name)
        self.constants[chosen] = value
        return chosen

    def grid(self, name: str, params: QuantParams) -> tuple[str, str]:
        """The scale and zero point constants of a tensor: scalars per tensor, vectors per channel."""
        shape = () if params.axis is None else (-1,)
        scale = self.constant(f"{name}/scale", params.scale.astype(np.float32).reshape(shape))
        return scale, self.constant(f"{name}/zero_point", params.zero_point.astype(params.dtype).reshape(shape))

    def step(self, op: str, inputs: tuple[str, ...], target: str, spec: TensorSpec, axis: int | None) -> str:
        """A QuantizeLinear or DequantizeLinear node that writes `target`."""
        attributes: dict[str, Attribute] = {} if axis is None else {"axis": axis}
        name = self.names.free(f"{target}/{op}")
        self.nodes.append(Node(op=op, name=name, inputs=inputs, outputs=(target,), attributes=attributes))
        self.specs[target] = TensorSpec(name=target, shape=spec.shape, dtype=spec.dtype)
        return target


def _pair(graph: Graph, dressing: Dressing, new: _Additions, name: str, source: str) -> str:
    """Q/DQ after the float tensor `source`; returns the tensor that readers of `name` see."""
    spec, params = graph.specs[name], dressing.activations[name]
    grid = new.grid(name, params)
    new.specs[source] = TensorSpec(name=source, shape=spec.shape, dtype=spec.dtype)
    stored = TensorSpec(name=name, shape=spec.shape, dtype=params.dtype)
    middle = new.step("QuantizeLinear", (source, *grid), new.names.free(f"{name}/quantized"), stored, None)
    target = name if source != name else new.names.free(f"{name}/dequantized")
    return new.step("DequantizeLinear", (middle, *grid), target, spec, None)


def _shows_integers(graph: Graph, dressing: Dressing, name: str) -> bool:
    return dressing.integers and name in dressing.activations and name in graph.output_names


def _read(graph: Graph, dressing: Dressing, new: _Additions, after: Mapping[str, str], node: Node, index: int) -> str:
    """What a node's input is called in the dressed graph."""
    name = node.inputs[index]
    if name in after and dressing.reads(node, name):
        return after[name]
    if name not in graph.constants or node.name in dressing.float_nodes:
        return name
    if node.op in HEAVY and index == 2:
        return _bias(graph, dressing, new, node)
    return _constant(graph, dressing, new, name) if name in dressing.weights else name


def _constant(graph: Graph, dressing: Dressing, new: _Additions, name: str) -> str:
    """The dequantized form of a constant, made once."""
    if name not in new.dressed:
        params, value, spec = dressing.weights[name], graph.constants[name], graph.specs[name]
        grid, target = new.grid(name, params), new.names.free(f"{name}/dequantized")
        stored = TensorSpec(name=name, shape=spec.shape, dtype=params.dtype)
        if dressing.integers:
            middle = new.constant(f"{name}/{params.dtype}", quantize(value, params))
        else:
            middle = new.step("QuantizeLinear", (name, *grid), new.names.free(f"{name}/quantized"), stored, params.axis)
        new.dressed[name] = new.step("DequantizeLinear", (middle, *grid), target, spec, params.axis)
    return new.dressed[name]


def _bias(graph: Graph, dressing: Dressing, new: _Additions, node: Node) -> str:
    """The int32 form of a node's bias; float where its input or weight is float, or it is no vector of channels."""
    name = node.inputs[2]
    source, weight = dressing.activations.get(node.inputs[0]), dressing.weights.get(node.inputs[1])
    value = graph.constants[name]
    if not dressing.integers or source is None or weight is None or value.size != max(value.shape, default=1):
        return name
    params = bias_params(source, weight)
    channels = np.broadcast_to(value.reshape(-1), params.scale.shape) if params.per_channel else value.reshape(-1)
    stored = new.constant(f"{node.name}/bias", quantize(channels, params))
    spec = TensorSpec(name=stored, shape=channels.shape, dtype="float32")
    return new.step(
        "DequantizeLinear", (stored, *new.grid(stored, params)), new.names.free(f"{stored}/dequantized"), spec, params.axis
    )
