"""Quantization as good as it gets without labels: ranges, weights and biases, each where it is heard to help."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import islice

from edgekit.converters.graph import Graph, PassResult
from edgekit.converters.quantize.assign import STANDARD, assign
from edgekit.converters.quantize.calibration import Calibration
from edgekit.converters.quantize.correct import MOST, correct_biases
from edgekit.converters.quantize.fetch import Executor, Feed
from edgekit.converters.quantize.parameters import Quantization
from edgekit.converters.quantize.probe import LOOKED_AT, Probe, held_back
from edgekit.converters.quantize.rounding import SOON, round_weights
from edgekit.converters.quantize.schemes import SchemeName, Style, dialect_of
from edgekit.core.progress import Progress, silent


@dataclass(frozen=True, kw_only=True, eq=False)
class Tuned:
    """A quantization, the graph with the weights and biases that suit it, and in how many layers those are new."""

    graph: Graph
    quantization: Quantization
    corrected: int = 0
    rounded: int = 0


def tuned(
    graph: Graph,
    calibration: Calibration,
    samples: Iterable[Feed],
    execute: Executor,
    *,
    scheme: SchemeName,
    keep_float: Collection[str] = (),
    style: Style = STANDARD,
    rounding_work: float = SOON,
    progress: Progress = silent,
) -> Tuned:
    """The quantization that `assign` gives, with whole ranges, weights rounded together and corrected biases where those leave less noise.

    Weights are rounded (`rounding_work`: see `rounding`) and biases corrected on the first samples (`correct.MOST`); each is
    judged at the heads on others (`probe.LOOKED_AT`, or a third of fewer samples); where there are none, both stay. The graph keeps its
    nodes and tensors, so `calibration`, which is of the graph as it came, holds for it: what integers compute with new weights and biases is
    what floats computed with the old ones. Activations of sixteen bits are taken for exact.
    """
    dialect = dialect_of(scheme, style)
    quantization = assign(graph, calibration, scheme=scheme, keep_float=keep_float, style=style)
    learnt, judging = held_back(tuple(islice(samples, MOST + LOOKED_AT)))
    if not judging:
        return Tuned(graph=graph, quantization=quantization)
    heard = _by_weights(quantization) if dialect.wide else quantization
    probe = Probe(graph=graph, quantization=heard, samples=judging, execute=execute)
    best = _Best(probe=probe, graph=graph, quantization=heard)
    if dialect.clip:
        best.ranged(assign(graph, calibration, scheme=scheme, keep_float=keep_float, style=replace(style, clip=False)))
        quantization = best.quantization
    rounded = best.tried(round_weights(graph, best.quantization, learnt, execute, work=rounding_work))
    corrected = best.tried(correct_biases(best.graph, best.quantization, learnt, execute, exact=graph, progress=progress))
    return Tuned(graph=best.graph, quantization=quantization, rounded=rounded, corrected=corrected)


def _by_weights(quantization: Quantization) -> Quantization:
    """What eight bits round, where activations have sixteen."""
    weights = {name: params for name, params in quantization.weights.items() if params.dtype == "int8"}
    return replace(quantization, activations={}, weights=weights)


@dataclass(kw_only=True)
class _Best:
    """The ranges, weights and biases of least noise at the heads so far; they are heard only once there are others to compare with."""

    probe: Probe
    graph: Graph
    quantization: Quantization
    _noise: float | None = None

    def ranged(self, whole: Quantization) -> None:
        """Take ranges from minimum to maximum when they leave less noise than those of least error, tensor by tensor.

        What is clipped is always off to the same side, and adds up over layers as rounding does not: no tensor by itself tells that.
        """
        before, after = self._now(), self._of(self.graph, whole)
        self._noise = min(before, after)
        self.quantization = whole if after < before else self.quantization

    def tried(self, found: PassResult) -> int:
        """Take the result of a pass when it leaves less noise; how many layers were changed for good."""
        if found.changes == 0:
            return 0
        before, after = self._now(), self._of(found.graph, self.quantization)
        self._noise = min(before, after)
        self.graph = found.graph if after < before else self.graph
        return found.changes if after < before else 0

    def _now(self) -> float:
        return self._of(self.graph, self.quantization) if self._noise is None else self._noise

    def _of(self, graph: Graph, quantization: Quantization) -> float:
        return self.probe.noise(quantization.activations, quantization.weights, graph=graph)
