"""What a dense head says in every cell of its grids, before anything is thrown away: the free picture of what it saw where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.core.schema import Postprocess, Preprocess
from edgekit.tasks.decoding.head import EVERY_CLASS, Floats, cells, count_cells
from edgekit.tasks.decoding.recognise import head

STRIDES = ((8, 16, 32), (8, 16, 32, 64), (16,))
"""Of the grids of the known dense heads with one box in a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCells:
    """One class over all grids: `cells` [N, 3] (column, row, stride), `boxes` [N, 4] in pixels of the input, `scores` [N]."""

    cells: Floats
    boxes: Floats
    scores: Floats


def class_cells(
    outputs: Mapping[str, NDArray[Any]], postprocess: Postprocess, preprocess: Preprocess, class_id: int
) -> ClassCells | None:
    """Every cell's box and its score for the class, or None where the head has no cell for each box.

    A head that gives only the best class of a cell scores 0 where that is another class.
    """
    parameters = {**postprocess.parameters, EVERY_CLASS: 1.0}
    everything = msgspec.structs.replace(postprocess, score_threshold=0.0, parameters=parameters)
    found = head(postprocess.head).decode(outputs, preprocess, everything)
    rows = np.flatnonzero(found.class_ids == class_id)
    for strides in STRIDES:
        count = count_cells(preprocess.height, preprocess.width, strides)
        grid = cells(preprocess.height, preprocess.width, strides)
        if len(rows) == count and len(found.scores) == count * len(postprocess.labels):
            return ClassCells(cells=grid, boxes=found.boxes[rows], scores=found.scores[rows])
        if len(found.scores) == count:
            return ClassCells(cells=grid, boxes=found.boxes, scores=np.where(found.class_ids == class_id, found.scores, 0))
    return None
