"""Picking, placing and masking by indices that are known, or in operators that TFLite has."""

from __future__ import annotations

from math import prod

import numpy as np

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.lower.tflite.attributes import constant, given, normal_axis
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Rule, Scribe
from edgekit.converters.sheet import Sheet


def gather_in_a_row(graph: Graph, node: Node) -> Replacement | None:
    """Neighbours picked one after the other are a Slice, and a view where the axis goes or comes."""
    indices = constant(graph, node, 1) if node.op == "Gather" else None
    if indices is None or indices.size == 0 or node.inputs[0] in graph.constants or indices.ndim > 1:
        return None
    shape = graph.shape(node.inputs[0])
    axis = normal_axis(node.integer("axis", 0), len(shape))
    places = np.atleast_1d(indices) % shape[axis]
    if np.any(np.diff(places) != 1):
        return None
    scribe = Scribe(graph, node)
    bounds = {"start": [places[0]], "end": [places[-1] + 1], "axis": [axis]}
    inputs = [node.inputs[0], *(scribe.constant(label, value, "int64") for label, value in bounds.items())]
    if indices.ndim == 1:
        return scribe.finish("Slice", inputs)
    one = scribe.add("Slice", inputs, (*shape[:axis], 1, *shape[axis + 1 :]), "one")
    return scribe.finish("Reshape", [one, scribe.constant("view", graph.shape(node.output), "int64")])


def triangle(graph: Graph, node: Node) -> Replacement | None:
    """Trilu keeps what a constant mask says."""
    if node.op != "Trilu" or (given(node, 1) and constant(graph, node, 1) is None):
        return None
    offset = constant(graph, node, 1)
    rows, columns = graph.shape(node.output)[-2:]
    upper, k = node.integer("upper", 1), 0 if offset is None else int(offset.flat[0])
    mask = (np.triu if upper else np.tril)(np.ones((rows, columns), np.bool_), k)
    scribe, dtype = Scribe(graph, node), graph.specs[node.output].dtype
    return scribe.finish("Where", [scribe.constant("mask", mask, "bool"), node.inputs[0], scribe.constant("zero", 0, dtype)])


def not_a_number(graph: Graph, node: Node) -> Replacement | None:
    """What differs from itself is not a number."""
    if node.op != "IsNaN":
        return None
    scribe = Scribe(graph, node)
    return scribe.finish("Not", [scribe.add_as("bool", "Equal", [node.inputs[0]] * 2, graph.shape(node.output), "equal")])


def one_hot(graph: Graph, node: Node) -> Replacement | None:
    """OneHot compares each index with every place (indices of int64; negative ones count from the end)."""
    depth, values = (constant(graph, node, index) if node.op == "OneHot" else None for index in (1, 2))
    if depth is None or values is None or graph.specs[node.inputs[0]].dtype not in ("int32", "int64"):
        return None
    shape, dtype = graph.shape(node.output), graph.specs[node.inputs[0]].dtype
    axis, count = normal_axis(node.integer("axis", -1), len(shape)), int(depth.flat[0])
    scribe = Scribe(graph, node)
    wide = (*shape[:axis], 1, *shape[axis + 1 :])
    x = scribe.add_as(
        dtype, "Mod", [node.inputs[0], scribe.constant("depth", count, dtype)], graph.shape(node.inputs[0]), "inside"
    )
    x = scribe.view(x, wide, "wide")
    places = np.arange(count).reshape(-1, *(1,) * (len(shape) - axis - 1))
    hit = scribe.add_as("bool", "Equal", [x, scribe.constant("places", places, dtype)], shape, "hit")
    off, on = (scribe.constant(label, value, values.dtype.name) for label, value in zip(("off", "on"), values, strict=True))
    return scribe.finish("Where", [hit, on, off])


def gather_elements(graph: Graph, node: Node) -> Replacement | None:
    """GatherElements is GatherND where the other coordinates are the element's own; in a line it is Gather."""
    if node.op != "GatherElements":
        return None
    if prod(graph.shape(node.inputs[0])) == graph.shape(node.inputs[0])[node.integer("axis", 0)]:
        return _in_a_line(graph, node)
    shape, kind = graph.shape(node.output), graph.specs[node.inputs[1]].dtype
    axis, scribe, column = normal_axis(node.integer("axis", 0), len(shape)), Scribe(graph, node), (*shape, 1)
    parts = []
    known = constant(graph, node, 1)
    if known is not None:
        everywhere = list(np.indices(shape))
        everywhere[axis] = known % graph.shape(node.inputs[0])[axis]
        return scribe.finish("GatherND", [node.inputs[0], scribe.constant("coordinates", np.stack(everywhere, -1), kind)])
    for other, places in enumerate(np.indices(shape)):
        here = scribe.constant(f"places{other}", places[..., None], kind)
        parts.append(scribe.view(node.inputs[1], column, "picked") if other == axis else here)
    where = scribe.add_as(kind, "Concat", parts, (*shape, len(shape)), "coordinates", axis=len(shape))
    return scribe.finish("GatherND", [node.inputs[0], where])


def gather_of_batches(graph: Graph, node: Node) -> Replacement | None:
    """GatherND within each of a batch: the batch's own places stand before the indices."""
    batch = node.integer("batch_dims", 0) if node.op == "GatherND" else 0
    if not batch:
        return None
    scribe, shape, kind = Scribe(graph, node), graph.shape(node.inputs[1]), graph.specs[node.inputs[1]].dtype
    own = np.moveaxis(np.indices(shape[:-1])[:batch], 0, -1)
    known = constant(graph, node, 1)
    if known is not None:
        sizes = np.array(graph.shape(node.inputs[0])[batch : batch + shape[-1]])
        places = np.concatenate([own, np.where(known < 0, known + sizes, known)], axis=-1)
        return scribe.finish("GatherND", [node.inputs[0], scribe.constant("coordinates", places, kind)])
    parts = [scribe.constant("batch", own, kind), node.inputs[1]]
    where = scribe.add_as(kind, "Concat", parts, (*shape[:-1], batch + shape[-1]), "coordinates", axis=len(shape) - 1)
    return scribe.finish("GatherND", [node.inputs[0], where])


def _in_a_line(graph: Graph, node: Node) -> Replacement:
    """Elements of a line by their places in it."""
    scribe, size = Scribe(graph, node), prod(graph.shape(node.inputs[0]))
    table = graph.constants.get(node.inputs[0])
    if table is not None:
        line = scribe.constant("line", table.reshape(-1), table.dtype.name)
    else:
        line = scribe.view(node.inputs[0], (size,), "line")
    return scribe.finish("Gather", [line, node.inputs[1]], axis=0)


def scatter_in_place(graph: Graph, node: Node) -> Replacement | None:
    """Updates written to known places: every element of the result is picked from the data and the updates side by side."""
    indices = constant(graph, node, 1) if node.op in ("ScatterND", "ScatterElements") else None
    if indices is None or node.text("reduction", "none") != "none":
        return None
    shape, updates = graph.shape(node.output), graph.shape(node.inputs[2])
    places = np.arange(np.prod(shape, dtype=np.int64)).reshape(shape)
    fresh = places.size + np.arange(np.prod(updates, dtype=np.int64)).reshape(updates)
    if node.op == "ScatterND":
        places[tuple(np.moveaxis(indices, -1, 0))] = fresh
    else:
        axis, where = normal_axis(node.integer("axis", 0), len(shape)), list(np.indices(updates))
        where[axis] = indices
        places[tuple(where)] = fresh
    block = _block(places)
    if block is not None:
        return _side_by_side(graph, node, *block)
    scribe = Scribe(graph, node)
    flat = [
        scribe.view(name, (size.size,), label)
        for name, size, label in zip((node.inputs[0], node.inputs[2]), (places, fresh), ("old", "new"), strict=True)
    ]
    both = scribe.add("Concat", flat, (places.size + fresh.size,), "both", axis=0)
    return scribe.finish("Gather", [both, scribe.constant("places", places, "int64")], axis=0)


def _block(places: Array) -> tuple[int, int, int] | None:
    """(axis, start, end) when what is fresh is everything between two places of one axis, in order: a slice assigned to."""
    fresh = places >= places.size
    for axis in range(places.ndim):
        others = tuple(other for other in range(places.ndim) if other != axis)
        hit = np.flatnonzero(fresh.any(others))
        if hit.size == 0 or hit[-1] - hit[0] + 1 != hit.size or not fresh.take(hit, axis).all():
            continue
        taken = places.take(hit, axis)
        if np.array_equal(taken.ravel() - places.size, np.arange(taken.size)):
            return axis, int(hit[0]), int(hit[-1]) + 1
    return None


def _side_by_side(graph: Graph, node: Node, axis: int, start: int, end: int) -> Replacement:
    """What stands before the block, the block, and what stands behind it."""
    data, shape, scribe = node.inputs[0], graph.shape(node.output), Scribe(graph, node)

    def part(first: int, last: int, label: str) -> list[str]:
        bounds = [scribe.constant(f"{label}{key}", [at], "int64") for key, at in zip("bea", (first, last, axis), strict=True)]
        size = (*shape[:axis], last - first, *shape[axis + 1 :])
        return [scribe.add("Slice", [data, *bounds], size, label)] if last > first else []

    block = scribe.view(node.inputs[2], (*shape[:axis], end - start, *shape[axis + 1 :]), "block")
    return scribe.finish("Concat", [*part(0, start, "before"), block, *part(end, shape[axis], "behind")], axis=axis)


def smallest(graph: Graph, node: Node) -> Replacement | None:
    """The smallest are the largest of the negated."""
    if node.op != "TopK" or node.integer("largest", 1) or not all(node.outputs):
        return None
    if graph.specs[node.inputs[0]].dtype != "float32":
        return None
    sheet = Sheet(graph, node)
    values, places = node.outputs
    turned = sheet.same("Neg", [node.inputs[0]], "negated")
    attributes = {**node.attributes, "largest": 1}
    found = sheet.several(
        "TopK", [turned, node.inputs[1]], {"values": graph.specs[values], places: graph.specs[places]}, attributes
    )
    sheet.add("Neg", [found[0]], graph.shape(values), "back", output=values)
    return sheet.finish()


RULES: tuple[Rule, ...] = (
    *(smallest, gather_in_a_row, triangle, not_a_number),
    *(one_hot, gather_elements, gather_of_batches, scatter_in_place),
)
