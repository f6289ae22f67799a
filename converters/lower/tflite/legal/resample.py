"""Resizes that no TFLite operator does: each output row and column is a weighted sum of few input rows and columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.coordinates import COORDINATE_MODES, Coordinates, coordinates, flags, rounded, scales
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Rule, Scribe

MODES = frozenset({"nearest", "linear", "cubic"})
Weights = NDArray[np.float64]
"""Of each input position (last axis) in each output position."""


def resample(graph: Graph, node: Node) -> Replacement | None:
    """One dimension after the other: the rows or columns that each tap picks, times its weights, summed."""
    if node.op != "Resize" or not _is_known(node) or flags(graph, node) is not None:
        return None
    scribe, x = Scribe(graph, node), node.inputs[0]
    source, target, factors = graph.shape(x), graph.shape(node.output), scales(graph, node)
    for axis in range(len(source)):
        if source[axis] != target[axis] or factors[axis] != 1:
            x = _along(scribe, x, axis, *taps(node, source[axis], target[axis], factors[axis]))
    return scribe.result(x)


def _is_known(node: Node) -> bool:
    plain = not node.integer("antialias", 0)
    kind = node.text("coordinate_transformation_mode", "half_pixel")
    return plain and kind in COORDINATE_MODES and node.text("mode", "nearest") in MODES


def taps(node: Node, old: int, new: int, scale: float) -> tuple[NDArray[np.int64], Weights]:
    """Which input positions each output position sums, and their weights: both [taps, new] (Resize-19)."""
    x, mode = coordinates(node, old, new, scale), node.text("mode", "nearest")
    if mode == "nearest":
        return np.clip(rounded(node, x), 0, old - 1)[None].astype(np.int64), np.ones((1, new))
    first = np.floor(x) - (mode == "cubic")
    places = first + np.arange(4 if mode == "cubic" else 2)[:, None]
    distance = np.abs(x - places)
    weights = _cubic(distance, node.number("cubic_coeff_a", -0.75)) if mode == "cubic" else 1 - distance
    if node.integer("exclude_outside", 0):
        weights = np.where((places >= 0) & (places < old), weights, 0.0)
        weights = weights / weights.sum(axis=0)
    return np.clip(places, 0, old - 1).astype(np.int64), weights


def _cubic(d: Coordinates, a: float) -> Weights:
    """Keys' kernel: two polynomials of the distance, for the inner and the outer taps."""
    return np.where(d <= 1, ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a)


def _along(scribe: Scribe, x: str, axis: int, places: NDArray[np.int64], weights: Weights) -> str:
    shape = scribe.shape(x)
    column, new = (-1, *(1,) * (len(shape) - axis - 1)), (*shape[:axis], places.shape[1], *shape[axis + 1 :])
    total = ""
    for index, (where, share) in enumerate(zip(places, weights, strict=True)):
        label = f"axis{axis}_tap{index}"
        part = scribe.add("Gather", [x, scribe.constant(f"{label}_places", where, "int64")], new, label, axis=axis)
        if not np.all(share == 1):
            part = scribe.add(
                "Mul", [part, scribe.constant(f"{label}_weights", share.reshape(column))], new, f"{label}_weighted"
            )
        total = scribe.add("Add", [total, part], new, f"{label}_total") if total else part
    return total


RULES: tuple[Rule, ...] = (resample,)
