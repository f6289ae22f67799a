"""Pictures with a depth (video, volumes) as a batch of frames: [N, C, D, H, W] as [N * D, C, H, W].

TFLite slides windows over two dimensions. What works on every frame alike works on the batch; `depth` puts together what reads several.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.attributes import reduced_axes
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Rule, Scribe

TURNED = (0, 2, 1, 3, 4)
RANK = 5
EACH = frozenset(
    {
        *("Relu", "Clip", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "LeakyRelu", "Elu", "Selu", "Softplus", "Mish", "Erf"),
        *("Exp", "Log", "Sqrt", "Abs", "Neg", "BatchNormalization", "Identity", "Dropout", "Gelu"),
    }
)
"""What is done to every element, or to every channel, alike; whatever else it reads is no picture."""
PAIRS = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min"})


def frames(scribe: Scribe, name: str) -> str:
    """The frames of a picture with a depth; those it was put together from, when it was."""
    found = came_from(scribe.graph, name)
    if found:
        return found
    batch, channels, depth, height, width = scribe.graph.shape(name)
    turned = scribe.add("Transpose", [name], (batch, depth, channels, height, width), "turned", perm=TURNED)
    return scribe.view(turned, (batch * depth, channels, height, width), "frames")


def came_from(graph: Graph, name: str) -> str:
    """The frames that a picture with a depth was put together from, or nothing."""
    turn = graph.producers.get(name)
    view = graph.producers.get(turn.inputs[0]) if turn is not None and turn.op == "Transpose" else None
    if turn is None or view is None or view.op != "Reshape" or turn.integers("perm") != TURNED:
        return ""
    batch, channels, depth, *rest = graph.shape(name)
    return view.inputs[0] if graph.shape(view.inputs[0]) == (batch * depth, channels, *rest) else ""


def put_together(scribe: Scribe, name: str) -> Replacement:
    """The node's own output, from its frames."""
    batch, channels, depth, height, width = scribe.graph.shape(scribe.node.output)
    seen = scribe.view(name, (batch, depth, channels, height, width), "unframed")
    return scribe.finish("Transpose", [seen], perm=TURNED)


def frame_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of the frames of a picture of that shape."""
    return (shape[0] * shape[2], shape[1], *shape[3:])


def each_frame(graph: Graph, node: Node) -> Replacement | None:
    """What is done to every element alike, between pictures that come in frames."""
    if node.op not in EACH or not _is_deep(graph, node) or not came_from(graph, node.inputs[0]):
        return None
    scribe = Scribe(graph, node)
    inputs = [frames(scribe, node.inputs[0]), *node.inputs[1:]]
    made = scribe.add(node.op, inputs, frame_shape(graph.shape(node.output)), "each", **node.attributes)
    return put_together(scribe, made)


def pairs_of_frames(graph: Graph, node: Node) -> Replacement | None:
    """The same for two pictures, or a picture and one number for every channel."""
    if node.op not in PAIRS or not _is_deep(graph, node):
        return None
    shape, scribe = graph.shape(node.output), Scribe(graph, node)
    if not any(came_from(graph, name) for name in node.inputs):
        return None
    operands = [_operand(scribe, name, shape) for name in node.inputs]
    if not all(operands):
        return None
    return put_together(scribe, scribe.add(node.op, operands, frame_shape(shape), "both"))


def _operand(scribe: Scribe, name: str, shape: Sequence[int]) -> str:
    """How an operand goes with frames: its own, a constant without depth; nothing where it does not."""
    graph = scribe.graph
    own = (*(1,) * (RANK - len(graph.shape(name))), *graph.shape(name))
    along = (own[0], own[2])
    if along != (shape[0], shape[2]) and along != (1, 1) and shape[0] != 1:
        return ""
    if name in graph.constants:
        return (
            scribe.constant("operand", np.squeeze(graph.constants[name].reshape(own), 2)) if own[2] == 1 and own[0] == 1 else ""
        )
    return came_from(graph, name)


def joined_frames(graph: Graph, node: Node) -> Replacement | None:
    """Channels of several pictures behind one another."""
    if node.op != "Concat" or not _is_deep(graph, node) or node.integer("axis", 0) % RANK != 1:
        return None
    if not all(came_from(graph, name) for name in node.inputs):
        return None
    scribe = Scribe(graph, node)
    parts = [frames(scribe, name) for name in node.inputs]
    return put_together(scribe, scribe.add("Concat", parts, frame_shape(graph.shape(node.output)), "joined", axis=1))


def mean_of_all(graph: Graph, node: Node) -> Replacement | None:
    """The mean of every channel over depth, height and width, of a single picture."""
    shape = graph.shape(node.inputs[0]) if node.inputs else ()
    if len(shape) != RANK or shape[0] != 1 or not came_from(graph, node.inputs[0]):
        return None
    if node.op != "GlobalAveragePool" and (node.op != "ReduceMean" or reduced_axes(graph, node) != (2, 3, 4)):
        return None
    scribe = Scribe(graph, node)
    mean = scribe.reduced("ReduceMean", frames(scribe, node.inputs[0]), (0, 2, 3), "mean")
    out = graph.shape(node.output)
    if len(out) == RANK:
        return put_together(scribe, mean)
    return scribe.finish("Reshape", [mean, scribe.constant("mean_shape", out, "int64")])


def _is_deep(graph: Graph, node: Node) -> bool:
    return len(graph.shape(node.output)) == RANK and all(
        len(graph.shape(name)) <= RANK for name in node.inputs if name in graph.specs
    )


RULES: tuple[Rule, ...] = (each_frame, pairs_of_frames, joined_frames, mean_of_all)
