"""Prune a source before it is converted: from then on its pruned form is what artifacts must agree with.

Accuracy is still measured against the model as it came: that is the gate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from edgekit.conversion.source import SourceModel
from edgekit.converters.prune import prune
from edgekit.converters.prune.prune import Importance, Pruned
from edgekit.core.errors import InputError
from edgekit.core.facts import number
from edgekit.core.progress import Progress, silent
from edgekit.core.schema import Device, Recipe
from edgekit.runtimes.onnxruntime import execute

TRAINING = "edgekit distill MODEL --prune N% --data PICTURES -o OUT.onnx"
UNTRAINED = f"pruned without training: accuracy collapses as more is taken; '{TRAINING}' trains what is left"
USUAL = 8
"""Numbers of channels are multiples of this where a board wants no other."""
IN_EIGHT_BITS = frozenset({"auto", "int8", "mixed"})


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """The share of the multiply-accumulates to take out, how channels are judged, and what their numbers may be multiples of.

    The first of `multiples` by which the share can be reached is taken.
    """

    share: float
    importance: Importance = "activations"
    multiples: tuple[int, ...] = (USUAL,)


def multiples_for(boards: Iterable[Device], recipe: Recipe) -> tuple[int, ...]:
    """What suits all these boards at the recipe's precision, then half of it, and so on down to the usual."""
    wanted = (number(board, "int8_channel_multiple") for board in boards if recipe.precision in IN_EIGHT_BITS)
    largest = max((int(value) for value in wanted if value is not None), default=USUAL)
    found = [largest]
    while found[-1] > USUAL:
        found.append(max(found[-1] // 2, USUAL))
    return tuple(found)


def shrunk(source: SourceModel, asked: Pruning, progress: Progress = silent) -> SourceModel:
    """The source with a share of its multiply-accumulates removed, judged by its samples when it has any."""
    found = _pruned(source, asked, progress)
    return replace(source, graph=found.graph, pruned=found.report)


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
