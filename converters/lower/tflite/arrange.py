"""Layout rules: which permutations a node wants its inputs in, given what they are in, and which it leaves its outputs in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.attributes import normal_axis, reduced_axes
from edgekit.converters.lower.tflite.geometry import window
from edgekit.converters.lower.tflite.layout import Permutation, channels_last, identity, reshaped, same_data


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """The permutation each input is read in (None: not read as a tensor) and each output is written in."""

    inputs: tuple[Permutation | None, ...]
    outputs: tuple[Permutation, ...]


CARRYING = frozenset({"Mul", "Div", "Transpose"})
"""What may stand between the parts of an attention and its products."""

Incoming = tuple[Permutation | None, ...]
"""The permutations the inputs are stored in; None for constants and absent inputs."""
Arrange = Callable[[Graph, Node, Incoming], Arrangement]


def follow(graph: Graph, node: Node, incoming: Incoming) -> Arrangement:
    """The first input stays as it is, and so do the outputs: the op does not care."""
    first = incoming[0] or identity(len(graph.shape(node.inputs[0])))
    return Arrangement(inputs=(first, *_none(node)), outputs=(first,) * len(node.outputs))


def plain(graph: Graph, node: Node, incoming: Incoming) -> Arrangement:
    """The source's own order throughout."""
    return Arrangement(
        inputs=tuple(identity(len(graph.shape(name))) if name else None for name in node.inputs),
        outputs=tuple(identity(len(graph.shape(name))) for name in node.outputs),
    )


def products(graph: Graph, node: Node, incoming: Incoming) -> Arrangement:
    """The source's own order, but for operands whose last two dims alone are swapped: a batched product reads those too.

    Rows that all meet one matrix may stand in any order, and stay in it.
    """
    wanted: list[Permutation] = []
    for name, stored in zip(node.inputs, incoming, strict=True):
        rank = len(graph.shape(name))
        swapped = (*range(rank - 2), rank - 1, rank - 2)
        turned = stored is not None and not same_data(graph.shape(name), stored, identity(rank))
        wanted.append(swapped if turned and stored and same_data(graph.shape(name), stored, swapped) else identity(rank))
    rows = incoming[0]
    if rows is not None and rows[-1] == len(rows) - 1 and meets_one_matrix(graph, node):
        return Arrangement(inputs=(rows, wanted[1]), outputs=(rows,))
    return Arrangement(inputs=tuple(wanted), outputs=(identity(len(graph.shape(node.output))),))


def meets_one_matrix(graph: Graph, node: Node) -> bool:
    """Whether the second operand of a product is a single matrix, as the keys that all heads of an attention share."""
    first, second = (graph.shape(name) for name in node.inputs)
    return 2 <= len(second) <= len(first) and prod(second[:-2]) == 1


def spatial(graph: Graph, node: Node, incoming: Incoming) -> Arrangement:
    """Channels last, in and out."""
    layout = channels_last(len(graph.shape(node.inputs[0])))
    return Arrangement(inputs=(layout, *_none(node)), outputs=(layout,))


def convolved(graph: Graph, node: Node, incoming: Incoming) -> Arrangement:
    """Channels last, in and out; a kernel of a single place that stands everywhere does not mind which dim is the height."""
    first, span = incoming[0], window(graph, node)
    single = span.extent == span.strides == (1, 1) and span.valid
    if single and first is not None and (first[0], first[-1]) == (0, 1):
        return Arrangement(inputs=(first, *_none(node)), outputs=(first,))
    return spatial(graph, node, incoming)


def shared(graph: Graph, node: Node, incoming: Incoming) -> Arrangement:
    """One permutation for all operands, constants included: the one that moves the fewest elements, of two the one of pictures."""
    rank = len(graph.shape(node.output))
    stored = {name: p for name, p in zip(node.inputs, incoming, strict=True) if p is not None and len(p) == rank}
    candidates = tuple(dict.fromkeys(stored.values())) or (identity(rank),)
    best = min(candidates, key=lambda candidate: (_moved(graph, stored, candidate), candidate != channels_last(rank)))
    return Arrangement(inputs=tuple(best if name else None for name in node.inputs), outputs=(best,))


def picked(graph: Graph, node: Node, incoming: Incoming) -> Arrangement:
    """The data stay; the dims of the indices, in their own order, stand where the axis stood."""
    rank, extra = len(graph.shape(node.inputs[0])), len(graph.shape(node.inputs[1]))
    first, axis = incoming[0] or identity(rank), normal_axis(node.integer("axis", 0), rank)
    output: list[int] = []
    for source in first:
        output += range(axis, axis + extra) if source == axis else [source + (extra - 1 if source > axis else 0)]
    return Arrangement(inputs=(first, identity(extra)), outputs=(tuple(output),))


def cut(graph: Graph, node: Node, incoming: Incoming) -> Arrangement:
    """As it stands; but what many parts are taken of is brought into order once, for all, where they are products' or have five dims."""
    x = node.inputs[0]
    readers, rank = graph.consumers.get(x, ()), len(graph.shape(x))
    parts = [part for reader in readers if reader.op in ("Slice", "Split") for part in reader.outputs]
    scattered = rank >= 5 or (rank == 4 and all(_multiplied(graph, part) for part in parts))
    return plain(graph, node, incoming) if scattered and len(parts) > 1 else follow(graph, node, incoming)


def _multiplied(graph: Graph, name: str) -> bool:
    """Whether a tensor, scaled or turned, is an operand of products alone: queries, keys or values."""
    readers = graph.consumers.get(name, ())
    carried = all(node.op == "MatMul" or (node.op in CARRYING and _multiplied(graph, node.output)) for node in readers)
    return bool(readers) and carried


def innermost(graph: Graph, node: Node, incoming: Incoming) -> Arrangement:
    """The node's axis last in memory, the others as they were."""
    shape = graph.shape(node.inputs[0])
    first = incoming[0] or identity(len(shape))
    axis = normal_axis(node.integer("axis", -1), len(shape))
    wanted = (*(other for other in first if other != axis), axis)
    return Arrangement(inputs=(wanted, *_none(node)), outputs=(wanted,) * len(node.outputs))


def transposed(graph: Graph, node: Node, incoming: Incoming) -> Arrangement:
    """The data stay; only what they are called changes."""
    rank = len(graph.shape(node.inputs[0]))
    first = incoming[0] or identity(rank)
    perm = node.integers("perm", tuple(reversed(range(rank))))
    return Arrangement(inputs=(first,), outputs=(tuple(perm.index(axis) for axis in first),))


def regrouped(graph: Graph, node: Node, incoming: Incoming) -> Arrangement:
    """A reshape on the stored data when its groups of dims stand together in memory; else on the source's own order."""
    source, target = graph.shape(node.inputs[0]), graph.shape(node.output)
    first = incoming[0] or identity(len(source))
    result = reshaped(source, target, first)
    if result is None:
        return Arrangement(inputs=(identity(len(source)), *_none(node)), outputs=(identity(len(target)),))
    return Arrangement(inputs=(first, *_none(node)), outputs=(result,))


def reduced(graph: Graph, node: Node, incoming: Incoming) -> Arrangement:
    """The input stays; the outputs lose the reduced dims unless they are kept with size one."""
    first = incoming[0] or identity(len(graph.shape(node.inputs[0])))
    axes = arg_axes(graph, node) if node.op.startswith("Arg") else reduced_axes(graph, node)
    output = first if node.number("keepdims", 1) else without(first, axes)
    return Arrangement(inputs=(first, *_none(node)), outputs=(output,))


def arg_axes(graph: Graph, node: Node) -> tuple[int, ...]:
    """The axis of an ArgMax or ArgMin, counted from the front."""
    return (normal_axis(node.integer("axis", 0), len(graph.shape(node.inputs[0]))),)


def without(permutation: Permutation, axes: tuple[int, ...]) -> Permutation:
    """The permutation of what is left when `axes` are dropped."""
    kept = [axis for axis in sorted(permutation) if axis not in axes]
    return tuple(kept.index(axis) for axis in permutation if axis not in axes)


def _none(node: Node) -> tuple[None, ...]:
    return (None,) * (len(node.inputs) - 1)


def _moved(graph: Graph, stored: dict[str, Permutation], candidate: Permutation) -> int:
    shapes = {name: graph.shape(name) for name in stored}
    return sum(prod(shapes[name]) for name, p in stored.items() if not same_data(shapes[name], p, candidate))
