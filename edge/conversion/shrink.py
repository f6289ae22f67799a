"""Prune a source before it is converted: from then on its pruned form is what artifacts must agree with.

Accuracy is still measured against the model as it came: that is the gate.
"""

from __future__ import annotations

from dataclasses import replace

from edgekit.conversion.request import TRAINING, Pruning
from edgekit.conversion.source import SourceModel
from edgekit.converters.prune import prune
from edgekit.converters.prune.prune import Pruned
from edgekit.core.errors import InputError
from edgekit.core.progress import Progress, silent
from edgekit.runtimes.onnxruntime import execute

UNTRAINED = f"pruned without training: accuracy collapses as more is taken; '{TRAINING}' trains what is left"


def shrunk(source: SourceModel, asked: Pruning, progress: Progress = silent) -> SourceModel:
    """The source with a share of its multiply-accumulates removed, judged by its samples when it has any."""
    found = _pruned(source, asked, progress)
    measured = {} if source.samples is not None else source.recorded
    return replace(source, graph=found.graph, pruned=found.report, recorded=measured)


def _pruned(source: SourceModel, asked: Pruning, progress: Progress) -> Pruned:
    for multiple in asked.multiples[:-1]:
        try:
            return _in_multiples(source, asked, multiple, progress)
        except InputError:
            continue  # so large a share does not go in steps so coarse
    return _in_multiples(source, asked, asked.multiples[-1], progress)


def _in_multiples(source: SourceModel, asked: Pruning, multiple: int, progress: Progress) -> Pruned:
    return prune(
        source.graph,
        share=asked.share,
        samples=source.samples,
        execute=execute,
        multiple=multiple,
        importance=asked.importance,
        progress=progress,
    )


def notes_of(source: SourceModel) -> tuple[str, ...]:
    """What a manifest should say about the pruning."""
    if source.pruned is None:
        return ()
    steps = f"numbers of channels that were reduced are multiples of {source.pruned.multiple}"
    blind = (
        () if source.samples is not None else ("channels were chosen by their weights alone: --calibration DATA does better",)
    )
    return (source.pruned.sentence(), steps, UNTRAINED, *blind)
