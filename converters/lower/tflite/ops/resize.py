"""Resize: TFLite's flags are chosen by comparing where each output element looks, for the sizes at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.arrange import spatial
from edgekit.converters.lower.tflite.attributes import constant, number, text
from edgekit.converters.lower.tflite.ops.table import op
from edgekit.converters.lower.tflite.site import Site

Coordinates = NDArray[np.float64]
FLAGS: tuple[dict[str, bool], ...] = ({}, {"halfPixelCenters": True}, {"alignCorners": True})
OPERATORS = {"nearest": "RESIZE_NEAREST_NEIGHBOR", "linear": "RESIZE_BILINEAR"}
ROUNDING: Mapping[str, Callable[[Coordinates], Coordinates]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _limits(graph: Graph, node: Node) -> str | None:
    source, target = graph.shape(node.inputs[0]), graph.shape(node.output)
    mode = text(node, "mode", "nearest")
    if len(source) != 4 or source[:2] != target[:2]:
        return "it resizes other than the last two of four dimensions"
    if mode not in OPERATORS:
        return f"mode {mode!r}"
    if text(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return "coordinate mode 'tf_crop_and_resize'"
    if number(node, "antialias", 0):
        return "antialias"
    if flags(graph, node) is None:
        kind = text(node, "coordinate_transformation_mode", "half_pixel")
        return f"{mode} resize with {kind!r} from {source[2:]} to {target[2:]} matches no TFLite form"
    return None


@op("Resize", arrange=spatial, limits=_limits)
def resize(site: Site) -> None:
    """The flags come from `flags`, which found some or the node was refused."""
    x = site.read()
    mode, height_width = text(site.node, "mode", "nearest"), site.graph.shape(site.node.output)[2:]
    options = flags(site.graph, site.node) or {}
    site.emit(OPERATORS[mode], [x, site.ints("size", height_width)], [site.target(like=x)], **options)


def flags(graph: Graph, node: Node) -> dict[str, bool] | None:
    """The TFLite flags under which every output element looks where ONNX makes it look, or None."""
    linear = text(node, "mode", "nearest") == "linear"
    sizes = list(zip(graph.shape(node.inputs[0])[2:], graph.shape(node.output)[2:], strict=True))
    wanted = [_onnx(node, old, new, scale, linear) for (old, new), scale in zip(sizes, _scales(graph, node), strict=True)]
    for candidate in FLAGS:
        found = [_tflite(candidate, old, new, linear) for old, new in sizes]
        if all(np.allclose(a, b, rtol=0, atol=1e-4) for a, b in zip(wanted, found, strict=True)):
            return candidate
    return None


def _scales(graph: Graph, node: Node) -> tuple[float, ...]:
    """Output size over input size per dimension: as given, else from the sizes."""
    given_scales = constant(graph, node, 2)
    if given_scales is not None and given_scales.size:
        return tuple(float(scale) for scale in given_scales[-2:])
    return tuple(b / a for a, b in zip(graph.shape(node.inputs[0])[2:], graph.shape(node.output)[2:], strict=True))


def _onnx(node: Node, old: int, new: int, scale: float, linear: bool) -> Coordinates:
    """Where ONNX looks (Resize-13 to -19): a coordinate for linear, an index for nearest, inside the input."""
    at = np.arange(new, dtype=np.float64)
    mode = text(node, "coordinate_transformation_mode", "half_pixel")
    adjusted = new / (old * scale)
    x = {
        "asymmetric": at / scale,
        "half_pixel": (at + 0.5) / scale - 0.5,
        "half_pixel_symmetric": old / 2 * (1 - adjusted) + (at + 0.5) / scale - 0.5,
        "pytorch_half_pixel": (at + 0.5) / scale - 0.5 if new > 1 else np.zeros(1),
        "align_corners": at * (old - 1) / max(new - 1, 1),
    }[mode]
    return _inside(x if linear else ROUNDING[text(node, "nearest_mode", "round_prefer_floor")](x), old)


def _tflite(options: dict[str, bool], old: int, new: int, linear: bool) -> Coordinates:
    """Where TFLite looks (kernels/internal/reference/resize_*.h)."""
    at = np.arange(new, dtype=np.float64)
    corners = bool(options.get("alignCorners")) and new > 1
    scale = (old - 1) / (new - 1) if corners else old / new
    half = bool(options.get("halfPixelCenters"))
    if linear:
        return _inside((at + 0.5) * scale - 0.5 if half else at * scale, old)
    x = (at + 0.5) * scale if half else at * scale
    return _inside(np.floor(x + 0.5) if corners else np.floor(x), old)


def _inside(x: Coordinates, size: int) -> Coordinates:
    return np.clip(x, 0, size - 1)
