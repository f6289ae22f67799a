"""How far a network answers as its source does on pictures that it did not learn from: weights that agree less than at first are not kept.

A loss falls where most of its terms are, and a detector's are background: its boxes may get worse all the while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.conversion.source import SourceModel
from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.core.errors import InputError, Unsupported
from edgekit.core.schema import Postprocess, Preprocess
from edgekit.distill.pictures import Feed
from edgekit.runtimes.onnxruntime import execute
from edgekit.tasks.classification import classify
from edgekit.tasks.decoding.head import EVERY_CLASS
from edgekit.tasks.detection import Detections, detect
from edgekit.tasks.evaluate import HALF_SEEN, SCORE_FLOOR
from edgekit.tasks.metrics import DETECTIONS_PER_CLASS, Judged, average_precision50
from edgekit.tasks.pictures.preprocess import Placement

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """The source's answers to some pictures, and how to compare another graph's with them."""

    feeds: Sequence[Feed]
    compare: Callable[[Sequence[Outputs]], float]

    def of(self, graph: Graph, threads: int) -> float:
        """0 to 1: the share of pictures with the same best class, or the AP50 of the boxes with the source's for the truth."""
        run = execute(to_bytes(graph), threads=threads)
        return self.compare([run(feed) for feed in self.feeds])


def agreement_with(source: SourceModel, feeds: Sequence[Feed]) -> Agreement | None:
    """How to agree with `source` on `feeds`; None when it is not known how its outputs are read, or when it finds nothing in them."""
    reading, preprocess = source.postprocess, source.preprocess
    if reading is None or reading.task not in ("classification", "detection"):
        return None
    answers = [source.run(feed) for feed in feeds]
    try:
        if reading.task == "classification":
            return Agreement(feeds=feeds, compare=_same_class(reading, preprocess, answers))
        return None if preprocess is None else Agreement(feeds=feeds, compare=_same_boxes(reading, preprocess, feeds, answers))
    except (InputError, Unsupported):
        return None  # a source that finds nothing here, or whose outputs cannot be read, has no answers to agree with


def _same_class(
    reading: Postprocess, preprocess: Preprocess | None, answers: Sequence[Outputs]
) -> Callable[[Sequence[Outputs]], float]:
    def best(outputs: Outputs) -> int:
        return int(classify(outputs, reading, preprocess).argmax())

    right = [best(outputs) for outputs in answers]
    return lambda found: float(np.mean([best(outputs) == one for outputs, one in zip(found, right, strict=True)]))


def _same_boxes(
    reading: Postprocess, preprocess: Preprocess, feeds: Sequence[Feed], answers: Sequence[Outputs]
) -> Callable[[Sequence[Outputs]], float]:
    """Boxes that the source gives less than its threshold, but at least `HALF_SEEN` of it, neither help nor harm."""
    places = [_whole(next(iter(feed.values())).shape) for feed in feeds]
    wide = msgspec.structs.replace(reading, score_threshold=HALF_SEEN * reading.score_threshold)
    sensitive = msgspec.structs.replace(
        reading, score_threshold=SCORE_FLOOR, parameters={**reading.parameters, EVERY_CLASS: 1.0}
    )

    def found_in(outputs: Sequence[Outputs], by: Postprocess) -> list[Detections]:
        return [
            detect(one, by, preprocess, place, most=DETECTIONS_PER_CLASS) for one, place in zip(outputs, places, strict=True)
        ]

    right = found_in(answers, wide)

    def compare(outputs: Sequence[Outputs]) -> float:
        pairs = zip(found_in(outputs, sensitive), right, strict=True)
        return average_precision50([_judged(one, truth, reading.score_threshold) for one, truth in pairs]).mean

    compare(answers)
    return compare


def _judged(found: Detections, truth: Detections, threshold: float) -> Judged:
    return Judged(
        boxes=found.boxes,
        scores=found.scores,
        class_ids=found.class_ids,
        true_boxes=truth.boxes,
        true_class_ids=truth.class_ids,
        true_crowd=truth.scores < threshold,
    )


def _whole(shape: tuple[int, ...]) -> Placement:
    """The picture that fills the input: boxes stay in the input's own pixels."""
    height, width = shape[1:3] if shape[3] in (1, 3) else shape[2:4]
    return Placement(image_width=width, image_height=height, scale_x=1.0, scale_y=1.0)
