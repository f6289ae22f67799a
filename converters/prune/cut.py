"""Take channels out of a graph: constants lose positions, nodes learn the new numbers, every shape follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import onnx

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.graph_onnx import from_model, to_model
from edgekit.converters.optimise.drop_dead_code import drop_dead_code
from edgekit.converters.prune.coupling.channels import Ints
from edgekit.converters.prune.coupling.rules_move import slices
from edgekit.converters.prune.coupling.walk import Coupling, Walk
from edgekit.core.errors import ConversionError


@dataclass(frozen=True, kw_only=True, eq=False)
class _Removal:
    """A graph, its labels, and the sets of channels that go."""

    graph: Graph
    coupling: Coupling
    removed: Ints

    def kept(self, labels: Ints | None, size: int) -> Ints:
        """The positions that stay along an axis."""
        if labels is None:
            return np.arange(size, dtype=np.int64)
        return np.flatnonzero(~np.isin(self.coupling.roots[labels], self.removed))

    def shape(self, name: str) -> tuple[int, ...]:
        """A computed tensor's shape afterwards."""
        axes = self.coupling.axes.get(name)
        before = self.graph.shape(name)
        return before if axes is None else tuple(len(self.kept(a, size)) for a, size in zip(axes, before, strict=True))

    def labels(self, name: str, axis: int) -> Ints | None:
        axes = self.coupling.axes.get(name)
        return axes[axis] if axes else None


def remove(graph: Graph, coupling: Coupling, removed: Ints) -> Graph:
    """`graph` without the sets of channels in `removed` (roots of `coupling`, none of them frozen).

    Guarantees: the same inputs and outputs, static shapes that ONNX's own inference agrees with. Raises `ConversionError`
    naming the node where it does not: nothing is ever returned that would not run.
    """
    asked = _Removal(graph=graph, coupling=coupling, removed=removed)
    specs = {name: msgspec.structs.replace(graph.specs[name], shape=asked.shape(name)) for name in coupling.axes}
    nodes, constants = _cut_constants(asked)
    rewritten = [_REWRITES[node.op](asked, node) if node.op in _REWRITES else (node, {}) for node in nodes]
    for _, more in rewritten:
        constants |= more
    made = graph.with_nodes([node for node, _ in rewritten], constants=constants, specs=specs)
    return _checked(drop_dead_code(made).graph)


def silenced(graph: Graph, coupling: Coupling, removed: Ints) -> Graph:
    """`graph` with zeros wherever a constant meets channels in `removed`: what `remove` leaves computes the same, at other shapes."""
    constants: dict[str, Array] = {}
    inputs = {node.name: list(node.inputs) for node in graph.nodes}
    for cut in coupling.cuts:
        gone = np.isin(coupling.roots[cut.labels], removed)
        if gone.any():
            name, mine = inputs[cut.node][cut.index], f"{cut.node}/silenced/{cut.index}"
            value = constants[name] if name == mine else graph.constants[name].copy()
            np.moveaxis(value, cut.axis, 0)[gone] = 0
            constants[mine] = value
            inputs[cut.node][cut.index] = mine
    return graph.with_nodes([replace(node, inputs=tuple(inputs[node.name])) for node in graph.nodes], constants=constants)


def _cut_constants(asked: _Removal) -> tuple[list[Node], dict[str, Array]]:
    """Every node reading its own, shorter constants; equal cuts of one constant stay one constant."""
    cuts: dict[tuple[str, int], dict[int, Ints]] = {}
    for cut in asked.coupling.cuts:
        kept = asked.kept(cut.labels, len(cut.labels))
        if len(kept) < len(cut.labels):
            cuts.setdefault((cut.node, cut.index), {})[cut.axis] = kept
    made: dict[tuple[object, ...], str] = {}
    constants: dict[str, Array] = {}
    nodes = []
    for node in asked.graph.nodes:
        inputs = list(node.inputs)
        for index, name in enumerate(node.inputs):
            taken = cuts.get((node.name, index))
            if taken:
                key = (name, *((axis, kept.tobytes()) for axis, kept in sorted(taken.items())))
                if key not in made:
                    made[key] = f"{name}/pruned" if f"{name}/pruned" not in constants else f"{name}/pruned/{len(made)}"
                    constants[made[key]] = _taken(asked.graph.constants[name], taken)
                inputs[index] = made[key]
        nodes.append(replace(node, inputs=tuple(inputs)))
    return nodes, constants


def _taken(value: Array, taken: Mapping[int, Ints]) -> Array:
    for axis, kept in taken.items():
        value = np.take(value, kept, axis=axis)
    return np.ascontiguousarray(value)


Rewritten = tuple[Node, dict[str, Array]]


def _group(asked: _Removal, node: Node) -> Rewritten:
    """A depthwise kernel has as many groups as its input has channels."""
    group = node.integer("group", 1)
    if group == 1 or group != asked.graph.shape(node.inputs[0])[1]:
        return node, {}
    return replace(node, attributes={**node.attributes, "group": asked.shape(node.inputs[0])[1]}), {}


def _shape_input(asked: _Removal, node: Node) -> Rewritten:
    """Reshape and Expand: the shape in so many words."""
    after = asked.shape(node.output)
    return (node, {}) if after == asked.graph.shape(node.output) else _with_input(node, 1, np.array(after, np.int64))


def _split(asked: _Removal, node: Node) -> Rewritten:
    axis = node.integer("axis", 0) % len(asked.graph.shape(node.output))
    sizes = [asked.shape(name)[axis] for name in node.outputs]
    if sizes == [asked.graph.shape(name)[axis] for name in node.outputs]:
        return node, {}
    plain = replace(node, attributes={key: value for key, value in node.attributes.items() if key != "num_outputs"})
    return _with_input(plain, 1, np.array(sizes, np.int64))


def _slice(asked: _Removal, node: Node) -> Rewritten:
    """Bounds in the new numbering."""
    source, before = node.inputs[0], asked.graph.shape(node.inputs[0])
    taken = slices(Walk(graph=asked.graph), node, before)
    shorter = [axis for axis, size in enumerate(asked.shape(source)) if size < before[axis]]
    if taken is None or not any(taken[axis] != slice(None) for axis in shorter):
        return node, {}
    bounds: list[tuple[int, int, int]] = []
    for axis, size in enumerate(before):
        bounds.append(_renumbered(asked.kept(asked.labels(source, axis), size), taken[axis], size, node))
    starts, ends, steps = zip(*bounds, strict=True)
    values = (starts, ends, range(len(before)), steps)
    constants = {f"{node.name}/pruned/{index}": np.array(value, np.int64) for index, value in enumerate(values, start=1)}
    return replace(node, inputs=(source, *constants)), constants


def _renumbered(kept: Ints, taken: slice, size: int, node: Node) -> tuple[int, int, int]:
    """(start, end, step) that take from the kept positions those that `taken` takes from all."""
    wanted = np.arange(size)[taken]
    places = np.flatnonzero(np.isin(kept, wanted))
    places = places if taken.step is None or taken.step > 0 else places[::-1]
    step = int(places[1] - places[0]) if len(places) > 1 else 1
    if len(places) and not np.array_equal(places, places[0] + step * np.arange(len(places))):
        raise ConversionError(f"Slice at {node.name!r} takes channels that are unevenly spaced after pruning")
    start = int(places[0]) if len(places) else 0
    end = start + step * len(places)
    return start, end if end >= 0 else -(1 << 31), step


def _gather(asked: _Removal, node: Node) -> Rewritten:
    """Indices of the kept positions in the new numbering."""
    axis = node.integer("axis", 0) % len(asked.graph.shape(node.inputs[0]))
    labels, index = asked.labels(node.inputs[0], axis), asked.graph.constant(node.inputs[1])
    if labels is None or index is None or index.ndim != 1:
        return node, {}
    kept = asked.kept(labels, len(labels))
    number = np.full(len(labels), -1, np.int64)
    number[kept] = np.arange(len(kept))
    left = number[index][number[index] >= 0]
    return (node, {}) if np.array_equal(left, index) else _with_input(node, 1, left.astype(index.dtype))


def _resize(asked: _Removal, node: Node) -> Rewritten:
    """Sizes, when they were given, name every axis."""
    sizes = asked.graph.constant(node.inputs[3]) if len(node.inputs) > 3 and node.inputs[3] else None
    axes = node.integers("axes", tuple(range(len(asked.graph.shape(node.output)))))
    after = [asked.shape(node.output)[axis] for axis in axes]
    if sizes is None or after == [asked.graph.shape(node.output)[axis] for axis in axes]:
        return node, {}
    return _with_input(node, 3, np.array(after, np.int64))


def _with_input(node: Node, index: int, value: Array) -> Rewritten:
    name = f"{node.name}/pruned/{index}"
    inputs = [*node.inputs, *[""] * (index + 1 - len(node.inputs))]
    inputs[index] = name
    return replace(node, inputs=tuple(inputs)), {name: value}


_REWRITES: Mapping[str, Callable[[_Removal, Node], Rewritten]] = {
    "Conv": _group,
    "ConvTranspose": _group,
    "Expand": _shape_input,
    "Gather": _gather,
    "Reshape": _shape_input,
    "Resize": _resize,
    "Slice": _slice,
    "Split": _split,
}


def _checked(graph: Graph) -> Graph:
    """`graph` itself, when ONNX infers the shapes that it says it has."""
    model = to_model(graph)
    try:
        inferred = from_model(onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True))
    except onnx.shape_inference.InferenceError as exc:
        raise ConversionError(f"pruning left a graph that does not fit together: {str(exc).strip().splitlines()[-1]}") from exc
    for node in graph.nodes:
        for name in node.outputs:
            found = inferred.specs.get(name)
            if found is not None and found.shape != graph.shape(name):
                message = f"after pruning, {node.op} at {node.name!r} makes {found.shape}, expected was {graph.shape(name)}"
                raise ConversionError(message)
    return graph
