"""Which channels of a graph hang together: one walk in topological order that labels every axis of every tensor.

The grouping is that of DepGraph (Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023, arXiv 2301.12900), found
here position by position on the ONNX graph, so that concatenations, splits and shuffles need no case of their own. An operator that
no rule knows keeps all channels it touches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.prune.coupling.channels import Axes, Channels, Ints

Role = Literal["makes", "reads", "passes"]
"""What a constant does with the channels of an axis: a kernel makes its outputs and reads its inputs; a bias or a scale passes them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """An axis of a constant, as one node reads it, that loses the positions whose labels are removed."""

    node: str
    index: int
    axis: int
    labels: Ints
    role: Role


@dataclass(frozen=True, kw_only=True, eq=False)
class Coupling:
    """The labels of a graph. `axes` has every computed tensor; `roots` maps a label to its set, `frozen` a set to its reason."""

    axes: Mapping[str, Axes]
    cuts: tuple[Cut, ...]
    roots: Ints
    frozen: Mapping[int, str]


@dataclass(kw_only=True, eq=False)
class Walk:
    """The state of the walk, as the rules of the operators see it."""

    graph: Graph
    channels: Channels = field(default_factory=Channels)
    axes: dict[str, Axes] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)

    def shape(self, name: str) -> tuple[int, ...]:
        """The static shape of a tensor."""
        return self.graph.shape(name)

    def constant(self, name: str) -> Array | None:
        """The value of a constant, or None."""
        return self.graph.constant(name)

    def labels(self, name: str) -> Axes:
        """The labels of a tensor; constants and absent tensors have none."""
        return self.axes.get(name) or (None,) * (len(self.shape(name)) if name in self.graph.specs else 0)

    def cut(self, node: Node, index: int, axis: int, labels: Ints | None, role: Role) -> None:
        """Let the constant at input `index` follow `labels` along `axis`; nothing to do where nothing is labelled."""
        if labels is not None and index < len(node.inputs) and node.inputs[index]:
            self.cuts.append(Cut(node=node.name, index=index, axis=axis, labels=labels, role=role))

    def freeze(self, axes: Axes, reason: str) -> None:
        """Keep all channels along these axes."""
        for labels in axes:
            if labels is not None:
                self.channels.freeze(labels, reason)

    def unlabelled(self, name: str) -> Axes:
        """As many axes as the tensor has, none of them labelled."""
        return (None,) * len(self.shape(name))


def couple(graph: Graph) -> Coupling:
    """Label every axis of every tensor of `graph`. Outputs of the graph keep all of their channels."""
    from edgekit.converters.prune.coupling.rules import RULES

    walk = Walk(graph=graph)
    for node in graph.nodes:
        rule = RULES.get(node.op) if not node.domain else None
        made = rule(walk, node) if rule else keep_all(walk, node, f"no rule knows {node.op}")
        walk.axes |= dict(zip((name for name in node.outputs if name), made, strict=False))
    for spec in graph.outputs:
        walk.freeze(walk.labels(spec.name), f"they are the output {spec.name!r}")
    return Coupling(axes=walk.axes, cuts=tuple(walk.cuts), roots=walk.channels.roots(), frozen=walk.channels.frozen())


def keep_all(walk: Walk, node: Node, why: str) -> list[Axes]:
    """Freeze whatever the node reads; its outputs have no labels."""
    for name in node.inputs:
        walk.freeze(walk.labels(name), f"{why} at {node.name!r}")
    return [walk.unlabelled(name) for name in node.outputs if name]


def kept_positions(coupling: Coupling, removed: Ints, labels: Ints) -> Ints:
    """The positions along an axis with these labels that stay when the sets in `removed` go."""
    return np.flatnonzero(~np.isin(coupling.roots[labels], removed))
