"""Where a network's answer is made: the last layers before its outputs, before softmax, sigmoid and decoding squash it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.prune.layers import LAYERS, Floats, made_axis
from edgekit.converters.rewriting import without_dead

Feed = Mapping[str, Array]
Executor = Callable[[bytes], Callable[[Feed], Feed]]
"""A serialized ONNX model -> a function from feed to outputs."""

MOVES = frozenset({"Concat", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that leave every value what it was."""


def end_tensors(graph: Graph) -> Mapping[str, int]:
    """The tensors that the last layers make, and their channel axes; an output that no layer is behind stands for itself."""
    found: dict[str, int] = {}
    todo, seen = [spec.name for spec in graph.outputs], set[str]()
    while todo:
        name = todo.pop()
        node = graph.producers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if _is_layer(graph, node):
            found[name] = made_axis(node, len(graph.shape(name)))
        else:
            todo += [read for read in node.inputs if read]
    rest = [spec for spec in graph.outputs if spec.dtype.startswith("float") and spec.shape]
    return dict(sorted(found.items())) or {spec.name: len(spec.shape) - 1 for spec in rest}


def scored_ends(graph: Graph) -> frozenset[str]:
    """The end tensors whose values, moved about at most, go into a sigmoid: they say how sure the network is that something is there."""
    found = set()
    for end in end_tensors(graph):
        todo, seen = [end], set[str]()
        while todo:
            name = todo.pop()
            readers = () if name in seen else graph.consumers.get(name, ())
            seen.add(name)
            if any(node.op == "Sigmoid" for node in readers):
                found.add(end)
            todo += [made for node in readers if node.op in MOVES for made in node.outputs]
    return frozenset(found)


def _is_layer(graph: Graph, node: Node) -> bool:
    return node.op in LAYERS and graph.constant(node.inputs[1]) is not None


def channel_rows(values: Array, axis: int) -> Floats:
    """[positions, channels] in float64."""
    return np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis]).astype(np.float64)


def up_to(graph: Graph, names: Iterable[str]) -> Graph:
    """The part of the graph that computes these tensors."""
    return without_dead(replace(graph, outputs=tuple(graph.specs[name] for name in names)))


def some_rows(values: Array, axis: int, rows: NDArray[np.int64]) -> Array:
    """[rows, channels]: those of `channel_rows`, without a copy of the rest."""
    moved = np.moveaxis(values, axis, -1)
    found: Array = moved[np.unravel_index(rows, moved.shape[:-1])]
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What an end tensor is for one sample: its values [positions, channels], and how much each position counts."""

    values: Floats
    weights: Floats


def noise(
    run: Callable[[Feed], Feed], ends: Mapping[str, int], probes: Iterable[Feed], wanted: Sequence[Mapping[str, Answer]]
) -> float:
    """How far the end tensors are from what they were (`wanted`, per probe), 1 for all being lost.

    Squared error over variance in each channel, so that scores count as much as the larger numbers of boxes; the mean over channels
    and tensors.
    """
    error: dict[str, Floats] = {name: np.zeros(right.values.shape[1]) for name, right in wanted[0].items()}
    for sample, right in zip(probes, wanted, strict=True):
        outputs = run(sample)
        for name, axis in ends.items():
            one = right[name]
            error[name] = error[name] + one.weights @ np.square(channel_rows(outputs[name], axis) - one.values)
    spread = {name: _spread([right[name] for right in wanted]) for name in ends}
    return float(np.mean([np.mean(np.minimum(error[name] / spread[name], 1e6)) for name in ends]))


def _spread(answers: Sequence[Answer]) -> Floats:
    """Squared deviation from the mean per channel, summed; channels that hardly vary count as a hundredth of the usual one."""
    every, weights = (np.concatenate(parts) for parts in ([one.values for one in answers], [one.weights for one in answers]))
    total = weights @ np.square(every - weights @ every / weights.sum())
    return np.asarray(np.maximum(total, max(float(total.mean()) / 100, np.finfo(np.float64).tiny)))
