"""Connected components of a mask, by runs: the ink of a row is a few runs, and runs that touch are one thing.

Runs are joined by hooking and pointer jumping on arrays (Shiloach and Vishkin, "An O(log n) parallel connectivity
algorithm", 1982), so a photograph takes milliseconds without a compiled library.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Runs(NamedTuple):
    """Horizontal runs of ink, in reading order: `mask[row, start:end]` is all true."""

    row: Ints
    start: Ints
    end: Ints


class Components(NamedTuple):
    """Things found in a mask: `boxes` int64 [N, 4] (x1, y1, x2, y2; the end is outside), `areas` int64 [N] in pixels.

    `labels` int32 [H, W] is 0 on the background and 1 + index of the component elsewhere.
    """

    boxes: Ints
    areas: Ints
    labels: NDArray[np.int32]


def components(mask: NDArray[np.bool_]) -> Components:
    """The 8-connected components of `mask` [H, W], in the order of their first pixel."""
    runs = find_runs(mask)
    roots = _roots(len(runs.row), *touching(runs, mask.shape[1]))
    _, index = np.unique(roots, return_inverse=True)
    count = int(index.max()) + 1 if len(index) else 0
    lengths = runs.end - runs.start
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = np.repeat(index + 1, lengths)
    areas = np.bincount(index, weights=lengths, minlength=count).astype(np.int64)
    return Components(_boxes(runs, index, count), areas, labels)


def find_runs(mask: NDArray[np.bool_]) -> Runs:
    """Every run of ink in `mask`."""
    height, width = mask.shape
    edged = np.zeros((height, width + 2), np.int8)
    edged[:, 1:-1] = mask
    steps = np.diff(edged, axis=1)
    row, start = np.nonzero(steps == 1)
    _, end = np.nonzero(steps == -1)
    return Runs(row.astype(np.int64), start.astype(np.int64), end.astype(np.int64))


def touching(runs: Runs, width: int) -> tuple[Ints, Ints]:
    """Pairs (lower run, upper run) that touch across two rows, corners included."""
    span = width + 3
    starts, ends = runs.row * span + runs.start, runs.row * span + runs.end
    above = (runs.row - 1) * span
    first = np.searchsorted(ends, above + runs.start, side="left")
    last = np.searchsorted(starts, above + runs.end, side="right")
    counts = np.maximum(last - first, 0)
    lower = np.repeat(np.arange(len(counts)), counts)
    offset = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return lower, first[lower] + offset


def _roots(count: int, lower: Ints, upper: Ints) -> Ints:
    """For every run the smallest run that it is connected with."""
    parent = np.arange(count)
    while True:
        low, high = np.minimum(parent[lower], parent[upper]), np.maximum(parent[lower], parent[upper])
        if np.array_equal(low, high):
            return parent
        np.minimum.at(parent, high, low)
        while not np.array_equal(parent, parent[parent]):
            parent = parent[parent]


def _boxes(runs: Runs, index: Ints, count: int) -> Ints:
    """The box around each component."""
    boxes = np.empty((count, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.int64).max, -1
    np.minimum.at(boxes[:, 0], index, runs.start)
    np.minimum.at(boxes[:, 1], index, runs.row)
    np.maximum.at(boxes[:, 2], index, runs.end)
    np.maximum.at(boxes[:, 3], index, runs.row + 1)
    return boxes
