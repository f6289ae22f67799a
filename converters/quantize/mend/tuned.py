"""Quantization as good as it gets without labels: ranges, weights and biases, each where it is heard to help."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Graph, PassResult
from edgekit.converters.quantize.assign import STANDARD, assign
from edgekit.converters.quantize.mend.correct import MOST, correct_biases
from edgekit.converters.quantize.mend.probe import LOOKED_AT, Probe, held_back
from edgekit.converters.quantize.mend.rounding import SOON, round_weights
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.parameters import Quantization
from edgekit.converters.quantize.rules.schemes import SchemeName, Style, dialect_of
from edgekit.core.progress import Progress, silent

WORTH = 0.95
"""Of the noise of whole ranges is the most that clipped ones may leave: whole ones have no surprises for what calibration did not see."""


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

    def mended(best: _Best) -> _Best:
        ranges = best.quantization
        best.rounded = best.tried(round_weights(graph, ranges, learnt, execute, work=rounding_work))
        best.corrected = best.tried(correct_biases(best.graph, ranges, learnt, execute, exact=graph, progress=progress))
        return best

    best = mended(_Best(probe=probe, graph=graph, quantization=heard))
    if dialect.clip:
        whole = assign(graph, calibration, scheme=scheme, keep_float=keep_float, style=replace(style, clip=False))
        best = _quieter(best, _Best(probe=probe, graph=graph, quantization=whole), mended)
        quantization = best.quantization
    return Tuned(graph=best.graph, quantization=quantization, rounded=best.rounded, corrected=best.corrected)


def _quieter(clipped: _Best, whole: _Best, mended: Callable[[_Best], _Best]) -> _Best:
    """Whole ranges where clipped ones are not worth it, before and after weights and biases are made to suit them.

    What is clipped is always off to the same side, and adds up over layers as rounding does not: no tensor by itself tells that. Biases
    take some of it back, which is why ranges that look worse at first may be the better ones.
    """
    if whole.plain >= clipped.plain:
        return clipped
    return whole if WORTH * mended(whole).noise < clipped.noise else clipped


def _by_weights(quantization: Quantization) -> Quantization:
    """What eight bits round, where activations have sixteen."""
    weights = {name: params for name, params in quantization.weights.items() if params.dtype == "int8"}
    return replace(quantization, activations={}, weights=weights)


@dataclass(kw_only=True)
class _Best:
    """The graph of least noise at the heads so far, for one choice of ranges."""

    probe: Probe
    graph: Graph
    quantization: Quantization
    rounded: int = 0
    corrected: int = 0
    _noise: float | None = None

    @cached_property
    def plain(self) -> float:
        """The noise of these ranges alone; heard only once somebody asks."""
        return self._of(self.probe.graph)

    @property
    def noise(self) -> float:
        """Squared error over variance at the heads, with what was taken so far."""
        return self.plain if self._noise is None else self._noise

    def tried(self, found: PassResult) -> int:
        """Take the result of a pass when it leaves less noise; how many layers were changed for good."""
        if found.changes == 0:
            return 0
        before, after = self.noise, self._of(found.graph)
        self._noise = min(before, after)
        self.graph = found.graph if after < before else self.graph
        return found.changes if after < before else 0

    def _of(self, graph: Graph) -> float:
        return self.probe.noise(self.quantization.activations, self.quantization.weights, graph=graph)
