"""From a float graph and sample inputs to a graph that takes integers well, with its calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgekit.converters.graph import Graph
from edgekit.converters.quantize.calibrate import Executor, Feed, calibrate
from edgekit.converters.quantize.calibration import Calibration
from edgekit.converters.quantize.equalise import equalise
from edgekit.core.progress import Progress, silent


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A graph that computes the same values, and what calibration saw in it."""

    graph: Graph
    calibration: Calibration


def prepare(graph: Graph, samples: Sequence[Feed], execute: Executor, *, progress: Progress = silent) -> Prepared:
    """Calibrate, equalise channels that lie far apart, and calibrate again where that changed the graph.

    Same inputs, outputs and float values. To be done before a graph is legalised for an engine: explicit padding between layers
    hides the pattern. Raises what `calibrate` raises.
    """
    first = calibrate(graph, samples, execute, progress=progress)
    equalised = equalise(graph, first)
    if not equalised.changes:
        return Prepared(graph=graph, calibration=first)
    note = f"channels of {equalised.changes} layers were equalised before quantization"
    second = calibrate(equalised.graph, samples, execute, progress=progress)
    return Prepared(graph=equalised.graph, calibration=replace(second, notes=(*second.notes, note)))
