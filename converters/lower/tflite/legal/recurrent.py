"""LSTM, GRU and RNN as their steps: matrix products, sums and activations, which every engine runs and delegates.

TFLite's own sequence operators keep their state from one run to the next, which ONNX's do not, and take no initial state;
the steps written out are exact, and the products of all inputs are one. Source of the equations: the ONNX operator
specification (LSTM-14, GRU-14, RNN-14); gates stand in the order i, o, f, c (LSTM) and z, r, h (GRU).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.attributes import constant, given, number, text
from edgekit.converters.lower.tflite.legal.recurrent_activations import activations, unknown
from edgekit.converters.lower.tflite.legal.recurrent_cells import CELLS, Cell, State, Weights
from edgekit.converters.lower.tflite.legal.recurrent_lengths import Lengths
from edgekit.converters.lower.tflite.legal.recurrent_pictures import Picture, picture
from edgekit.converters.rewriting import Replacement
from edgekit.converters.sheet import Sheet

STEPS_LIMIT = 1024
"""Longer sequences would make programs of more than ten thousand operators."""
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""For each direction, whether it goes back in time."""
LENGTHS, STATE, CELL, PEEPHOLES = 4, 5, 6, 7
"""Positions of the optional inputs."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of a recurrent node: `length` steps of its `steps` count, the others are padding."""

    steps: int
    length: int
    batch: int
    hidden: int
    batch_first: bool
    reverse: tuple[bool, ...]

    @property
    def rows(self) -> int:
        """How many vectors go in and come out: one per step that counts and member of the batch."""
        return self.length * self.batch


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a recurrent node reads: rows, multiplied `at_once` or step by step, or the columns of a picture."""

    rows: str = ""
    at_once: bool = False
    picture: Picture | None = None

    def fitted(self, weights: Weights) -> Weights:
        """The weights with the columns of the input as they stand here."""
        return replace(weights, input=weights.input[..., self.picture.columns]) if self.picture else weights


def refusal(graph: Graph, node: Node) -> str | None:
    """Why a recurrent node cannot be unrolled, or None."""
    if any(constant(graph, node, index) is None for index in (1, 2)) or _is_computed(graph, node, 3):
        return "its weights are computed, not constant"
    if text(node, "direction", "forward") not in DIRECTIONS or not _fit(graph, node):
        return "its weights do not fit its input and direction"
    if _is_computed(graph, node, PEEPHOLES):
        return "its peephole connections are computed, not constant"
    if names := unknown(node, len(DIRECTIONS[text(node, "direction", "forward")])):
        return f"activations {names}"
    sizes = _sizes(graph, node)
    if not 1 <= sizes.length <= STEPS_LIMIT:
        return f"{sizes.length} steps; 1 to {STEPS_LIMIT} are unrolled"
    return None


def unroll_by_step(graph: Graph, node: Node) -> Replacement | None:
    """The same with one product per step for the inputs too: the Edge TPU maps products of one row only."""
    return unroll(graph, node, at_once=False)


def unroll(graph: Graph, node: Node, *, at_once: bool = True) -> Replacement | None:
    """The steps of a recurrent node, written out; the inputs of all steps are multiplied `at_once`."""
    if node.op not in GATES or node.domain or refusal(graph, node):
        return None
    sheet, sizes = Sheet(graph, node), _sizes(graph, node)
    lengths, source = _lengths(sheet, sizes), _source(sheet, sizes, at_once=at_once)
    starts = [_initial(sheet, sizes, index) for index in ((STATE, CELL) if node.op == "LSTM" else (STATE,))]
    passed = [
        _run(sheet, sizes, source, start, direction, lengths) for direction, start in enumerate(zip(*starts, strict=True))
    ]
    _write_outputs(sheet, sizes, passed, lengths)
    return sheet.finish()


def _write_outputs(sheet: Sheet, sizes: Sizes, passed: Sequence[Sequence[State]], lengths: Lengths | None) -> None:
    """Y, Y_h and, of an LSTM, Y_c: those that the node has."""
    node = sheet.node
    if node.outputs[0]:
        _write_sequence(sheet, sizes, [[state[0] for state in states] for states in passed], lengths)
    for index, name in enumerate(node.outputs[1:]):
        if name:
            last = [states[0 if back else -1][index] for states, back in zip(passed, sizes.reverse, strict=True)]
            _write_last(sheet, sizes, last, name)


def _lengths(sheet: Sheet, sizes: Sizes) -> Lengths | None:
    """Where sequences end, unless all of them end with the last step that counts."""
    name = given(sheet.node, LENGTHS)
    known = sheet.graph.constants.get(name)
    if not name or (known is not None and len(set(known.flat)) == 1):
        return None
    return Lengths(sheet, name, sizes.batch)


def _source(sheet: Sheet, sizes: Sizes, *, at_once: bool) -> Source:
    seen = None if at_once else picture(sheet.graph, sheet.node, sizes.steps)
    return Source(picture=seen) if seen else Source(rows=_rows(sheet, sizes), at_once=at_once)


def _is_computed(graph: Graph, node: Node, index: int) -> bool:
    return bool(given(node, index)) and constant(graph, node, index) is None


def _fit(graph: Graph, node: Node) -> bool:
    """Whether the constants have the shapes that the input and the direction ask for."""
    directions, gates = len(DIRECTIONS[text(node, "direction", "forward")]), GATES[node.op]
    width, hidden = graph.shape(node.inputs[0])[2], graph.shape(node.inputs[2])[-1]
    shapes = [graph.shape(name) for name in node.inputs[1:4] if name]
    rows = gates * hidden
    seen = constant(graph, node, PEEPHOLES)
    if seen is not None and seen.shape != (directions, 3 * hidden):
        return False
    return shapes == [(directions, rows, width), (directions, rows, hidden), (directions, 2 * rows)][: len(shapes)]


def _sizes(graph: Graph, node: Node) -> Sizes:
    batch_first = bool(number(node, "layout", 0))
    first, second, _ = graph.shape(node.inputs[0])
    steps, batch = (second, first) if batch_first else (first, second)
    lengths = constant(graph, node, LENGTHS)
    length = steps if lengths is None else min(int(lengths.max()), steps)
    return Sizes(
        steps=steps,
        length=length,
        batch=batch,
        hidden=graph.shape(node.inputs[2])[2],
        batch_first=batch_first,
        reverse=DIRECTIONS[text(node, "direction", "forward")],
    )


def _weights(graph: Graph, node: Node, index: int) -> Weights:
    gates = GATES[node.op]
    w, r = graph.constants[node.inputs[1]][index], graph.constants[node.inputs[2]][index]
    hidden = r.shape[1]
    biases = constant(graph, node, 3)
    both = np.zeros((2, gates, hidden), w.dtype) if biases is None else biases[index].reshape(2, gates, hidden)
    seen = constant(graph, node, PEEPHOLES)
    return Weights(
        input=w.reshape(gates, hidden, -1),
        state=r.reshape(gates, hidden, hidden),
        input_bias=both[0],
        state_bias=both[1],
        peepholes=seen[index].reshape(3, hidden) if seen is not None and np.any(seen) else None,
        activations=activations(node, len(DIRECTIONS[text(node, "direction", "forward")]))[index],
    )


def _rows(sheet: Sheet, sizes: Sizes) -> str:
    """The inputs of the steps that count, one row each: [length * batch, width], step after step."""
    x = sheet.node.inputs[0]
    width = sheet.shape(x)[2]
    if sizes.batch_first:
        x = sheet.moved(x, (1, 0, 2), "by step")
    rows = sheet.view(x, (sizes.steps * sizes.batch, width), "rows")
    padding = (sizes.steps - sizes.length) * sizes.batch
    return sheet.split(rows, (sizes.rows, padding), 0, "of length")[0] if padding else rows


def _initial(sheet: Sheet, sizes: Sizes, index: int) -> list[str]:
    """For each direction the name of an initial state, [batch, hidden]; empty for zeros."""
    name, directions = given(sheet.node, index), len(sizes.reverse)
    axis = 1 if sizes.batch_first else 0
    label = f"initial {'h' if index == STATE else 'c'}"
    known = sheet.graph.constants.get(name)
    if not name:
        return [""] * directions
    if known is not None:
        values = [known.take(direction, axis) for direction in range(directions)]
        return [sheet.constant(f"{label}/{i}", value) if np.any(value) else "" for i, value in enumerate(values)]
    parts = sheet.split(name, (1,) * directions, axis, label)
    return [sheet.view(part, (sizes.batch, sizes.hidden), f"{label}/{i}/flat") for i, part in enumerate(parts)]


def _run(sheet: Sheet, sizes: Sizes, source: Source, start: State, direction: int, lengths: Lengths | None) -> list[State]:
    """The states after each step, in the order of time."""
    weights = source.fitted(_weights(sheet.graph, sheet.node, direction))
    cell = CELLS[sheet.node.op](sheet, weights, f"{direction}")
    inputs = _inputs(sheet, sizes, source, cell, direction)
    states, state = [start] * sizes.length, start
    order = range(sizes.length)
    for step in reversed(order) if sizes.reverse[direction] else order:
        label = f"{direction}/{step}"
        after = cell.step(inputs[step], state, label)
        state = states[step] = lengths.held(step, after, state, label) if lengths else after
    return states


def _inputs(sheet: Sheet, sizes: Sizes, source: Source, cell: Cell, direction: int) -> Sequence[Sequence[str]]:
    """What each step is given of the sequence."""
    label = f"{direction}/steps"
    if not source.at_once:
        columns = source.picture.steps(sheet, label) if source.picture else _one_by_one(sheet, sizes, source.rows, label)
        return [cell.inputs(row, f"{direction}/{step}") for step, row in enumerate(columns[: sizes.length])]
    parts, size = enumerate(cell.inputs(source.rows, f"{direction}")), (sizes.batch,) * sizes.length
    return list(zip(*(sheet.split(part, size, 0, f"{label} {index}") for index, part in parts), strict=True))


def _one_by_one(sheet: Sheet, sizes: Sizes, rows: str, label: str) -> Sequence[str]:
    """The rows of each step, not split along the first dimension, which for the Edge TPU is a batch."""
    width = sheet.shape(rows)[1]
    stack = sheet.view(rows, (1, sizes.length, sizes.batch * width), f"{label}/stack")
    parts = sheet.split(stack, (1,) * sizes.length, 1, label)
    return [sheet.view(part, (sizes.batch, width), f"{label}/{index}/rows") for index, part in enumerate(parts)]


def _write_sequence(sheet: Sheet, sizes: Sizes, states: list[list[str]], lengths: Lengths | None) -> None:
    """Y: every h of every direction; padding is zeros."""
    directions = len(states)
    columns = [_joined(sheet, one, 0, f"{i}/states") for i, one in enumerate(states)]
    rows, padding = _joined(sheet, columns, 1, "states"), (sizes.steps - sizes.length) * sizes.batch
    if padding:
        pads = sheet.constant("pads", (0, 0, padding, 0), "int64")
        rows = sheet.add("Pad", [rows, pads], (sizes.steps * sizes.batch, directions * sizes.hidden), "padded")
    if lengths:
        rows = lengths.shown(sheet.view(rows, (sizes.steps, sizes.batch, directions * sizes.hidden), "one by one"), "shown")
    by_step = sheet.view(rows, (sizes.steps, sizes.batch, directions, sizes.hidden), "by step and member")
    order = (1, 0, 2, 3) if sizes.batch_first else (0, 2, 1, 3)
    sheet.moved(by_step, order, "sequence", output=sheet.node.outputs[0])


def _write_last(sheet: Sheet, sizes: Sizes, states: Sequence[str], output: str) -> None:
    """Y_h or Y_c: the last state of every direction."""
    one = (sizes.batch, 1, sizes.hidden) if sizes.batch_first else (1, sizes.batch, sizes.hidden)
    if len(states) == 1:
        sheet.view(states[0], one, output, output=output)
        return
    views = [sheet.view(state, one, f"{output}/{i}") for i, state in enumerate(states)]
    _joined(sheet, views, 1 if sizes.batch_first else 0, output, output=output)


def _joined(sheet: Sheet, parts: Sequence[str], axis: int, label: str, *, output: str = "") -> str:
    """The parts one after the other along an axis; a single one is itself."""
    if len(parts) == 1:
        return parts[0]
    shape = list(sheet.shape(parts[0]))
    shape[axis] = sum(sheet.shape(part)[axis] for part in parts)
    return sheet.add("Concat", parts, shape, label, output=output, attributes={"axis": axis})
