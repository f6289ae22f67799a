"""Choices that are made once every shape is known: the branch that is taken stands where the choice stood.

Exporters write such an `If` where a network asks for a size: PyTorch's for every `squeeze` of an axis it did not know the length of. What
only the values of an input decide stays control flow, which no engine of a board takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import from_model
from edgekit.converters.importers.onnx.inference import with_shapes
from edgekit.converters.importers.onnx.order import AGAIN, put_in_order, tensors_of
from edgekit.converters.optimise.fold_constants import fold_constants
from edgekit.core.errors import InputError, Unsupported

DEEPEST = 50
"""Choices that wait for one another."""
ANSWER = "/is taken"
"""Behind the name of a condition: an output that keeps it from being one itself, since outputs are not folded."""


def with_branches_taken(model: ModelProto) -> tuple[ModelProto, tuple[str, ...]]:
    """The model without `If`, and a note when it had any; its inputs are static.

    Raises `Unsupported` naming a choice that shapes do not decide, and `InputError` for one that is damaged.
    """
    taken = 0
    for _ in range(DEEPEST):
        choices = [node for node in model.graph.node if is_choice(node)]
        if not choices:
            return model, (f"{taken} choices between branches were made: shapes decide them",) if taken else ()
        known = _conditions(model, choices)
        model = _with_taken(model, known)
        taken += len(known)
        put_in_order(model)
    raise Unsupported(f"choices wait for one another more than {DEEPEST} deep", "export the model without control flow")


def is_choice(node: NodeProto) -> bool:
    """Whether a node chooses one of two graphs."""
    return node.op_type == "If" and node.domain in ("", "ai.onnx")


def _conditions(model: ModelProto, choices: Sequence[NodeProto]) -> dict[str, bool]:
    """By output of a choice, what is known of its condition now; raises for the first when nothing is known of any."""
    behind = _behind_choices(model.graph.node)
    ready = [node for node in choices if node.input[0] not in behind]
    graph = _folded(_up_to(model, {node.input[0] for node in ready}))
    values = {node.output[0]: graph.constants.get(node.input[0]) for node in ready}
    known = {name: bool(value.reshape(-1)[0]) for name, value in values.items() if value is not None and value.size == 1}
    if not known:
        first = ready[0] if ready else choices[0]
        raise Unsupported(
            f"op If at {first.name!r} decides at run time what is computed: its condition {first.input[0]!r} depends on an input",
            "export the model without control flow",
        )
    return known


def _behind_choices(nodes: Iterable[NodeProto]) -> set[str]:
    """The tensors that are made by a choice, or of one."""
    found = set[str]()
    for node in nodes:
        if is_choice(node) or found.intersection(node.input):
            found.update(node.output)
    return found


def _up_to(model: ModelProto, conditions: set[str]) -> ModelProto:
    """The part of the model that computes the conditions, each with an output of its own."""
    needed, nodes = set(conditions), []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    part = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=GraphProto(name=model.graph.name))
    part.graph.input.extend(value for value in model.graph.input)
    part.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in needed)
    part.graph.node.extend(reversed(nodes))
    for name in sorted(conditions):
        part.graph.node.append(onnx.helper.make_node("Identity", [name], [name + ANSWER]))
        part.graph.output.append(onnx.helper.make_tensor_value_info(name + ANSWER, TensorProto.BOOL, None))
    return part


def _folded(model: ModelProto) -> Graph:
    """The graph with all that shapes decide as constants."""
    graph = with_shapes(from_model(model))
    while (found := fold_constants(graph)).changes:
        graph = with_shapes(found.graph)
    return graph


def _with_taken(model: ModelProto, known: Mapping[str, bool]) -> ModelProto:
    """The model with the nodes of each branch that is taken in place of its choice."""
    made = ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    for node in model.graph.node:
        name = node.output[0] if is_choice(node) and node.output else ""
        if name not in known:
            made.graph.node.append(node)
            continue
        branch = _branch(node, "then_branch" if known[name] else "else_branch")
        inner = {one: f"{name}/{one}" for one in tensors_of(branch)}
        made.graph.initializer.extend(_renamed_constant(tensor, inner) for tensor in branch.initializer)
        made.graph.node.extend(_renamed(one, inner) for one in branch.node)
        for value, output in zip(branch.output, node.output, strict=True):
            made.graph.node.append(onnx.helper.make_node("Identity", [inner.get(value.name, value.name)], [output]))
    return made


def _branch(node: NodeProto, which: str) -> GraphProto:
    """One of a choice's graphs, as it may be."""
    graph = next((item.g for item in node.attribute if item.name == which and item.type == AttributeProto.GRAPH), None)
    if graph is None or graph.input or len(graph.output) != len(node.output) or not all(node.output):
        raise InputError(f"op If at {node.name!r} has no {which} that gives its {len(node.output)} outputs", AGAIN)
    if graph.sparse_initializer:
        raise Unsupported(f"the constant {graph.sparse_initializer[0].values.name!r} is stored sparse", "export it dense")
    return graph


def _renamed_constant(tensor: TensorProto, names: Mapping[str, str]) -> TensorProto:
    made = TensorProto()
    made.CopyFrom(tensor)
    made.name = names[tensor.name]
    return made


def _renamed(node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    """A node whose tensors, and those that graphs inside it read, have other names."""
    made = NodeProto()
    made.CopyFrom(node)
    made.input[:] = [names.get(name, name) for name in node.input]
    made.output[:] = [names.get(name, name) for name in node.output]
    for item in made.attribute:
        for graph in (item.g, *item.graphs) if item.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) else ():
            _rename_inside(graph, names)
    return made


def _rename_inside(graph: GraphProto, names: Mapping[str, str]) -> None:
    """What a graph inside a node reads of the graph around it; its own tensors keep their names."""
    own = set(tensors_of(graph))
    outer = {name: new for name, new in names.items() if name not in own}
    nodes = [_renamed(node, outer) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for value in graph.output:
        value.name = outer.get(value.name, value.name)
