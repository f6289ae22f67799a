"""A sequence that was a picture, each step one of its columns: its steps are cut out of the picture, and nothing is moved.

What reads text off a picture is built so. To turn the picture into rows first takes a TRANSPOSE, which cuts an Edge TPU's one piece
in two.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.lower.tflite.legal.shapes import VIEWS
from edgekit.converters.sheet import Sheet

PICTURE = 4
LAST = (0, 2, 3, 1)
"""Channels last."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A tensor [1, C, H, W] whose parts along `axis` are the steps; `columns` of a step's row stand in it channels last."""

    name: str
    axis: int
    columns: Array

    def steps(self, sheet: Sheet, label: str) -> list[str]:
        """The steps as rows, [1, C * H], the channels of one place side by side."""
        parts = sheet.split(self.name, (1,) * sheet.shape(self.name)[self.axis], self.axis, label)
        return [self._row(sheet, part, f"{label}/{index}") for index, part in enumerate(parts)]

    def _row(self, sheet: Sheet, part: str, label: str) -> str:
        return sheet.view(sheet.moved(part, LAST, f"{label}/last"), (1, len(self.columns)), f"{label}/rows")


def picture(graph: Graph, node: Node, steps: int) -> Picture | None:
    """The picture that the input of a recurrent node was made of, or None when it was none, or is not moved on the way."""
    name, moves = node.inputs[0], list[Node]()
    while (maker := graph.producers.get(name)) is not None and maker.op in (*VIEWS, "Transpose"):
        name, moves = maker.inputs[0], [maker, *moves]
    shape = graph.shape(name)
    if len(shape) != PICTURE or shape[0] != 1 or prod(graph.shape(node.inputs[0])[:2]) != steps:
        return None
    if not any(move.op == "Transpose" for move in moves):
        return None
    places = np.arange(prod(shape)).reshape(shape)
    rows = _moved(graph, places, moves).reshape(steps, -1)
    found = ((axis, _columns(places, axis, rows)) for axis in (3, 2) if shape[axis] == steps)
    return next((Picture(name=name, axis=axis, columns=columns) for axis, columns in found if columns is not None), None)


def _moved(graph: Graph, places: Array, moves: list[Node]) -> Array:
    for move in moves:
        reversed_axes = tuple(reversed(range(places.ndim)))
        turned = move.op == "Transpose"
        places = places.transpose(move.integers("perm", reversed_axes)) if turned else places.reshape(graph.shape(move.output))
    return places


def _columns(places: Array, axis: int, rows: Array) -> Array | None:
    """For each element of a step, channels last, its column in the row; None when rows are other than parts along the axis."""
    last = np.moveaxis(places, axis, 0)[:, 0].swapaxes(1, 2).reshape(len(rows), -1)
    order = np.argsort(rows[0])
    columns = order[np.searchsorted(rows[0], last[0], sorter=order) % order.size]
    return columns if np.array_equal(rows[:, columns], last) else None
