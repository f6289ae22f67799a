"""GridSample: pictures read at places that are computed (deformable attention, warps), by arithmetic and Gather.

The elements of a picture stand in a row, channels innermost, so that one index picks a place of one picture. Places beyond the
border are moved to it, where padding of zeros has put some: a place there, or between there and the border, then has the right value.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Rule, Scribe

LINEAR = frozenset({"bilinear", "linear"})
COUNTABLE = 1 << 24
"""Places that float32 counts without a gap."""


@dataclass(frozen=True, kw_only=True)
class _Axis:
    """Places along one axis: first and last that may be read, lower neighbour and, for linear sampling, the distance from it."""

    low: str
    share: str
    size: int


def grid_sample(graph: Graph, node: Node) -> Replacement | None:
    """Nearest and bilinear sampling with zeros or the border outside; other kinds stay."""
    mode, outside = node.text("mode", "bilinear"), node.text("padding_mode", "zeros")
    if node.op != "GridSample" or len(graph.shape(node.inputs[0])) != 4:
        return None
    batch, _, height, width = graph.shape(node.inputs[0])
    if mode not in LINEAR | {"nearest"} or outside not in ("zeros", "border") or min(height, width) < 2:
        return None
    border = 1 if outside == "zeros" else 0
    if batch * (height + 2 * border) * (width + 2 * border) >= COUNTABLE:
        return None
    scribe = Scribe(graph, node)
    linear = mode in LINEAR
    across, down = (_axis(scribe, index, size, border, linear) for index, size in ((0, width), (1, height)))
    rows = _in_rows(scribe, border)
    out = graph.shape(node.output)
    picked = {key: _picked(scribe, rows, across, down, key, batch) for key in ("00", "01", "10", "11") if linear or key == "00"}
    value = picked["00"]
    if linear:
        top = _between(scribe, picked["00"], picked["01"], across.share, "top")
        bottom = _between(scribe, picked["10"], picked["11"], across.share, "bottom")
        value = _between(scribe, top, bottom, down.share, "value")
    turned = scribe.add("Transpose", [value], out, "channels", perm=(0, 3, 1, 2))
    return scribe.result(turned)


def _axis(scribe: Scribe, index: int, size: int, border: int, linear: bool) -> _Axis:
    """Where along one axis every sample lies, [N, out height, out width, 1], in elements of the picture with its border."""
    grid = scribe.node.inputs[1]
    shape = (*scribe.graph.shape(grid)[:3], 1)
    corners = bool(scribe.node.integer("align_corners", 0))
    bounds = [
        scribe.constant(f"{key}{index}", [value], "int64") for key, value in (("from", index), ("to", index + 1), ("on", 3))
    ]
    place = scribe.add("Slice", [grid, *bounds], shape, f"grid{index}")
    scale, shift = ((size - 1) / 2, (size - 1) / 2) if corners else (size / 2, (size - 1) / 2)
    place = scribe.add("Mul", [place, scribe.constant(f"scale{index}", scale)], shape, f"scaled{index}")
    place = scribe.add("Add", [place, scribe.constant(f"shift{index}", shift + border)], shape, f"place{index}")
    last = size - 1 + 2 * border
    if not linear:
        place = scribe.add("Round", [place], shape, f"nearest{index}")
    place = scribe.add("Max", [place, scribe.constant(f"first{index}", 0)], shape, f"from_first{index}")
    place = scribe.add("Min", [place, scribe.constant(f"last{index}", last)], shape, f"inside{index}")
    if not linear:
        return _Axis(low=place, share="", size=last + 1)
    low = scribe.add("Floor", [place], shape, f"floor{index}")
    low = scribe.add("Min", [low, scribe.constant(f"before_last{index}", last - 1)], shape, f"low{index}")
    return _Axis(low=low, share=scribe.add("Sub", [place, low], shape, f"share{index}"), size=last + 1)


def _in_rows(scribe: Scribe, border: int) -> str:
    """Every place of every picture with its border of zeros: [places, channels]."""
    x = scribe.node.inputs[0]
    batch, channels, height, width = scribe.graph.shape(x)
    if border:
        height, width = height + 2, width + 2
        pads = scribe.constant("border", (0, 0, 1, 1, 0, 0, 1, 1), "int64")
        x = scribe.add("Pad", [x, pads], (batch, channels, height, width), "bordered")
    x = scribe.add("Transpose", [x], (batch, height, width, channels), "innermost", perm=(0, 2, 3, 1))
    return scribe.view(x, (batch * height * width, channels), "rows")


def _picked(scribe: Scribe, rows: str, across: _Axis, down: _Axis, key: str, batch: int) -> str:
    """What stands at one of the four neighbours, [N, out height, out width, channels]."""
    shape = scribe.shape(across.low)
    line = scribe.add("Mul", [down.low, scribe.constant("width", across.size)], shape, f"line{key}")
    place = scribe.add("Add", [line, across.low], shape, f"sum{key}")
    step = int(key[0]) * across.size + int(key[1])
    pictures = [[[[index * down.size * across.size + step]]] for index in range(batch)]
    if batch > 1 or step:
        place = scribe.add("Add", [place, scribe.constant(f"step{key}", pictures)], shape, f"at{key}")
    index = scribe.add_as("int32", "Cast", [place], shape, f"index{key}", to=6)
    index = scribe.view(index, shape[:3], f"flat{key}")
    return scribe.add("Gather", [rows, index], (*shape[:3], scribe.shape(rows)[1]), f"picked{key}", axis=0)


def _between(scribe: Scribe, first: str, second: str, share: str, label: str) -> str:
    """first + (second - first) * share."""
    shape = scribe.shape(first)
    apart = scribe.add("Sub", [second, first], shape, f"{label}_apart")
    part = scribe.add("Mul", [apart, share], shape, f"{label}_part")
    return scribe.add("Add", [first, part], shape, label)


RULES: tuple[Rule, ...] = (grid_sample,)
