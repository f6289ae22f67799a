"""How much noise the outputs get when chosen tensors, and nothing else, are rounded: what a remedy is worth is measured there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Floats, Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.quantize.mend.heads import heads, noise, places_of
from edgekit.converters.quantize.observe.replay import Replay
from edgekit.converters.quantize.parameters import Quantization, QuantParams
from edgekit.converters.quantize.qdq import Dressing, dress_named

LOOKED_AT = 4
"""Samples that a question is asked on: enough to tell a bad tensor from a good one."""
JUDGING = 3
"""Of so many samples one is held back to judge by, where a remedy is learnt from the others."""
NOTHING: Mapping[str, QuantParams] = {}


def held_back(samples: Sequence[Feed]) -> tuple[Sequence[Feed], Sequence[Feed]]:
    """Samples to learn from, and the last third to judge by: on what it was learnt from, a remedy of few samples always looks good."""
    judging = max(len(samples) // JUDGING, int(len(samples) > 1))
    return samples[: len(samples) - judging], samples[len(samples) - judging :]


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """Asks a float graph, on a few samples, what rounding does at its heads (see `heads.heads`)."""

    graph: Graph
    quantization: Quantization
    samples: Sequence[Feed]
    execute: Executor
    _replays: list[Replay] = field(default_factory=list, init=False)

    def noise_of(self, names: Collection[str]) -> float:
        """The noise of rounding these activations and weights as the quantization says: squared error over variance.

        What comes before the first of them is what it was for the question before: questions in the order of the graph are cheap.
        """
        known = self.quantization
        activations = {name: params for name, params in known.activations.items() if name in names}
        weights = {name: params for name, params in known.weights.items() if name in names}
        if not activations and not weights:
            return 0.0
        start = min(self._felt[name] for name in (*activations, *weights))
        replay = self._standing_before(start)
        behind = self._behind(start, replay.states)
        dressed, after = dress_named(behind, _dressing(activations, weights))
        shown = {spec.name: after.get(spec.name, spec.name) for spec in behind.outputs}
        if not shown:
            return 0.0
        run = self.execute(to_bytes(dressed, tuple(shown.values())))
        given = [run({spec.name: state[spec.name] for spec in behind.inputs}) for state in replay.states]
        answers = [self._with(exact, found, shown) for exact, found in zip(self._reference, given, strict=True)]
        return noise(self._reference, answers, self._places)

    def noise(
        self,
        activations: Mapping[str, QuantParams],
        weights: Mapping[str, QuantParams] = NOTHING,
        graph: Graph | None = None,
    ) -> float:
        """The noise of rounding these tensors with these parameters, in another `graph` of the same tensors if one is given."""
        dressed, behind = dress_named(graph or self.graph, _dressing(activations, weights))
        seen = tuple(behind.get(name, name) for name in self.heads)
        return noise(self._reference, _outputs(self.execute(to_bytes(dressed, seen)), self.samples, seen), self._places)

    def _standing_before(self, position: int) -> Replay:
        """The float graph run up to a node: further than for the last question, or anew."""
        if not self._replays or self._replays[-1].position > position:
            self._replays[:] = [Replay.of(self.graph, self.samples, self.execute)]
        self._replays[-1].before(position)
        return self._replays[-1]

    def _behind(self, start: int, states: Sequence[Mapping[str, Array]]) -> Graph:
        """The graph from a node on, with the heads that it writes."""
        nodes = self.graph.nodes[start:]
        made = {name for node in nodes for name in node.outputs if name}
        read = dict.fromkeys(name for node in nodes for name in node.inputs if name not in made and name in states[0])
        outputs = tuple(self.graph.specs[name] for name in self.heads if name in made)
        return replace(self.graph, inputs=tuple(self.graph.specs[name] for name in read), outputs=outputs, nodes=nodes)

    def _with(self, exact: Sequence[Array], found: Feed, shown: Mapping[str, str]) -> Sequence[Array]:
        """The heads, in order, those that were not computed again as they are in float."""
        return [found[shown[name]] if name in shown else value for name, value in zip(self.heads, exact, strict=True)]

    @cached_property
    def _felt(self) -> Mapping[str, int]:
        """The first node that can tell whether a tensor is rounded: its writer, or of inputs and constants the first reader."""
        nodes = tuple(enumerate(self.graph.nodes))
        read = {name: index for index, node in reversed(nodes) for name in node.inputs}
        return read | {name: index for index, node in nodes for name in node.outputs}

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """The tensors at which integers end."""
        return heads(self.graph, self.quantization)

    @cached_property
    def _reference(self) -> list[Sequence[Array]]:
        """What the heads are in float, for each sample."""
        return _outputs(self.execute(to_bytes(self.graph, self.heads)), self.samples, self.heads)

    @cached_property
    def _places(self) -> list[list[Floats]]:
        """What each place of the heads counts, for each sample."""
        return places_of(self.graph, self.heads, self.samples, self.execute)


def _dressing(activations: Mapping[str, QuantParams], weights: Mapping[str, QuantParams]) -> Dressing:
    """These tensors rounded for all who read them."""
    return Dressing(
        activations=activations, weights=weights, float_nodes=frozenset(), reads=lambda node, name: True, integers=True
    )


def _outputs(run: Callable[[Feed], Feed], samples: Sequence[Feed], names: Sequence[str]) -> list[Sequence[Array]]:
    results = (run(sample) for sample in samples)
    return [[result[name] for name in names] for result in results]
