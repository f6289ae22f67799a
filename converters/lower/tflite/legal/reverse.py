"""Slices that run backwards, as exporters write the reverse direction of a recurrent layer."""

from __future__ import annotations

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.attributes import slice_bounds
from edgekit.converters.rewriting import Replacement
from edgekit.converters.sheet import Sheet


def reversed_by_index(graph: Graph, node: Node) -> Replacement | None:
    """Along axes where a Slice has a negative step it is a Gather of the axis's indices in their order."""
    bounds = slice_bounds(graph, node) if node.op == "Slice" and not node.domain else None
    if bounds is None or node.inputs[0] in graph.constants:
        return None
    backwards = [axis for axis, one in enumerate(bounds) if one.step < 0]
    if not backwards:
        return None
    sheet, x, shape = Sheet(graph, node), node.inputs[0], graph.shape(node.inputs[0])
    forwards = [axis for axis, one in enumerate(bounds) if one.step > 0 and one != slice(0, shape[axis], 1)]
    if forwards:
        x = _forwards(sheet, x, bounds, forwards)
    for axis in backwards[:-1]:
        order = range(shape[axis])[_python(bounds[axis])]
        now = sheet.shape(x)
        picked = sheet.constant(f"indices/{axis}", order, "int64")
        x = sheet.add(
            "Gather", [x, picked], (*now[:axis], len(order), *now[axis + 1 :]), f"turned/{axis}", attributes={"axis": axis}
        )
    (axis,) = backwards[-1:]
    indices = sheet.constant("indices", range(shape[axis])[_python(bounds[axis])], "int64")
    return sheet.finish("Gather", [x, indices], {"axis": axis})


def _forwards(sheet: Sheet, x: str, bounds: tuple[slice, ...], axes: list[int]) -> str:
    """The Slice along the axes that it walks forwards."""
    parts = {"starts": [bounds[axis].start for axis in axes], "ends": [bounds[axis].stop for axis in axes]}
    parts |= {"axes": axes, "steps": [bounds[axis].step for axis in axes]}
    shape = list(sheet.shape(x))
    for axis in axes:
        shape[axis] = len(range(shape[axis])[bounds[axis]])
    names = [sheet.constant(f"part/{key}", value, "int64") for key, value in parts.items()]
    return sheet.add("Slice", [x, *names], shape, "part")


def _python(bounds: slice) -> slice:
    """Bounds as `slice.indices` gives them, in which -1 stands before the first element, as Python reads slices."""
    return slice(bounds.start, None if bounds.stop < 0 else bounds.stop, bounds.step)
