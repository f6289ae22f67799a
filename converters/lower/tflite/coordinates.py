"""Where a Resize looks: for each output position along a dimension, a place in the input, by ONNX's rules and by TFLite's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.lower.tflite.attributes import constant

Coordinates = NDArray[np.float64]
FLAGS: tuple[dict[str, bool], ...] = ({}, {"halfPixelCenters": True}, {"alignCorners": True})
COORDINATE_MODES = frozenset({"asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners"})
TFLITE_MODES = frozenset({"nearest", "linear"})
ROUNDING: Mapping[str, Callable[[Coordinates], Coordinates]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def flags(graph: Graph, node: Node) -> dict[str, bool] | None:
    """The TFLite flags under which every output element looks where ONNX makes it look, or None when there are none.

    TFLite resizes the last two of four dimensions, to the nearest or linearly.
    """
    source, target, mode = graph.shape(node.inputs[0]), graph.shape(node.output), node.text("mode", "nearest")
    if node.text("coordinate_transformation_mode", "half_pixel") not in COORDINATE_MODES or node.integer("antialias", 0):
        return None
    if mode not in TFLITE_MODES or len(source) != 4 or source[:2] != target[:2]:
        return None
    sizes, factors = list(zip(source[2:], target[2:], strict=True)), scales(graph, node)[2:]
    wanted = [_looked_at(node, old, new, scale) for (old, new), scale in zip(sizes, factors, strict=True)]
    for candidate in FLAGS:
        found = [_tflite(candidate, old, new, mode == "linear") for old, new in sizes]
        if all(np.allclose(a, b, rtol=0, atol=1e-4) for a, b in zip(wanted, found, strict=True)):
            return candidate
    return None


def scales(graph: Graph, node: Node) -> tuple[float, ...]:
    """Output size over input size for every dimension: as given, else from the sizes."""
    source = graph.shape(node.inputs[0])
    result = [new / old for old, new in zip(source, graph.shape(node.output), strict=True)]
    given, asked = constant(graph, node, 2), constant(graph, node, 3)
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch" and asked is not None and asked.size:
        return _in_proportion(node, source, asked, result)
    if given is not None and given.size:
        axes = node.integers("axes") or tuple(range(len(source)))
        for axis, scale in zip(axes, given, strict=True):
            result[axis % len(source)] = float(scale)
    return tuple(result)


def _in_proportion(node: Node, source: Sequence[int], asked: Array, stretched: Sequence[float]) -> tuple[float, ...]:
    """One factor for all the axes that are resized: of the sizes that were asked for, not of those that came out (Resize-18)."""
    along = [axis % len(source) for axis in node.integers("axes") or range(len(source))]
    factors = [int(size) / source[axis] for axis, size in zip(along, asked, strict=True)]
    kept = (min if node.text("keep_aspect_ratio_policy", "") == "not_larger" else max)(factors)
    return tuple(kept if axis in along else factor for axis, factor in enumerate(stretched))


def coordinates(node: Node, old: int, new: int, scale: float) -> Coordinates:
    """The real-valued place in the input, which may lie outside (Resize-13 to -19).

    In single precision: 3 / 0.6 is exactly 5 there, and slightly less in double, where rounding down would give another pixel.
    """
    at, scale = np.arange(new, dtype=np.float32), np.float32(scale)
    half = np.float32(0.5)
    adjusted = new / (old * float(scale))
    places = {
        "asymmetric": at / scale,
        "half_pixel": (at + half) / scale - half,
        "half_pixel_symmetric": old / 2 * (1 - adjusted) + (at + 0.5) / scale - 0.5,
        "pytorch_half_pixel": (at + half) / scale - half if new > 1 else np.zeros(1),
        "align_corners": at * (old - 1) / max(new - 1, 1),
    }[node.text("coordinate_transformation_mode", "half_pixel")]
    return np.asarray(places, np.float64)


def rounded(node: Node, x: Coordinates) -> Coordinates:
    """The index that the nearest mode takes for a place."""
    return ROUNDING[node.text("nearest_mode", "round_prefer_floor")](x)


def inside(x: Coordinates, size: int) -> Coordinates:
    """Places outside are taken at the border."""
    return np.clip(x, 0, size - 1)


def _looked_at(node: Node, old: int, new: int, scale: float) -> Coordinates:
    x = coordinates(node, old, new, scale)
    return inside(rounded(node, x) if node.text("mode", "nearest") == "nearest" else x, old)


def _tflite(options: dict[str, bool], old: int, new: int, linear: bool) -> Coordinates:
    """Where TFLite looks (kernels/internal/reference/resize_*.h)."""
    at = np.arange(new, dtype=np.float64)
    corners = bool(options.get("alignCorners")) and new > 1
    scale = (old - 1) / (new - 1) if corners else old / new
    half = bool(options.get("halfPixelCenters"))
    if linear:
        return inside((at + 0.5) * scale - 0.5 if half else at * scale, old)
    x = (at + 0.5) * scale if half else at * scale
    return inside(np.floor(x + 0.5) if corners else np.floor(x), old)
