"""One step of an LSTM, a GRU and a plain RNN. A state of zeros has no name (""), and nothing is computed from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from edgekit.converters.graph import Array
from edgekit.converters.lower.tflite.attributes import number
from edgekit.converters.lower.tflite.legal.recurrent_activations import Activation
from edgekit.converters.sheet import Sheet

State = tuple[str, ...]
"""The names of h and, for an LSTM, c, each [batch, hidden]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """What one direction multiplies by and adds, gate after gate: [gates, hidden, ...]; and its activations."""

    input: Array
    state: Array
    input_bias: Array
    state_bias: Array
    peepholes: Array | None = None
    """What the cell is multiplied by where the gates i, o and f of an LSTM see it: [3, hidden]."""
    activations: tuple[Activation, ...] = field(default=())
    """In ONNX's order: of the gates, of the candidate and, of an LSTM, of the cell that is shown."""


class Cell(Protocol):
    """The equations of one direction of a recurrent node."""

    def inputs(self, rows: str, label: str) -> Sequence[str]:
        """What does not depend on the state, of one step or of many at once: parts of [rows, ...]."""

    def step(self, parts: Sequence[str], state: State, label: str) -> State:
        """The state after a step, from the parts that are its own and the state before."""


class _Lstm:
    """i, o, f = sigmoid, c = tanh; C = f C + i c; H = o tanh C; other activations where the node has them."""

    def __init__(self, sheet: Sheet, weights: Weights, label: str) -> None:
        self.sheet, self.weights, self.label = sheet, weights, label
        self.of_gates, self.of_candidate, self.of_cell = weights.activations
        self.recurrent = _shared(sheet, _rows_of(weights.state), f"{label}/state")

    def inputs(self, rows: str, label: str) -> Sequence[str]:
        bias = (self.weights.input_bias + self.weights.state_bias).reshape(-1)
        weights = self.sheet.weights(_rows_of(self.weights.input), bias, f"{self.label}/input")
        return [self.sheet.product(rows, weights, f"{label}/input")]

    def step(self, parts: Sequence[str], state: State, label: str) -> State:
        sheet, (h, c) = self.sheet, state
        hidden = self.weights.state.shape[1]
        product = h and self.recurrent(h, f"{label}/recurrent")
        gates = _clipped(sheet, _plus(sheet, parts[0], product, f"{label}/gates"), f"{label}/clipped")
        used = 3 if c else 2  # without a cell there is nothing to forget, and the forget gate stands last
        squashed, candidate = self._parts(gates, used, label)
        entering, leaving, *kept = sheet.split(self.of_gates.on(sheet, squashed, label), (hidden,) * used, 1, f"{label}/gate")
        cell = self._cell(entering, kept, candidate, c, label)
        return sheet.same("Mul", [leaving, self.of_cell.on(sheet, cell, f"{label}/shown")], f"{label}/h"), cell

    def _cell(self, entering: str, kept: Sequence[str], candidate: str, c: str, label: str) -> str:
        """What is kept of the cell, and what enters it."""
        sheet = self.sheet
        new = sheet.same("Mul", [entering, self.of_candidate.on(sheet, candidate, label)], f"{label}/new")
        return _plus(sheet, new, c and sheet.same("Mul", [*kept, c], f"{label}/kept"), f"{label}/cell")

    def _parts(self, gates: str, used: int, label: str) -> tuple[str, ...]:
        """The first gates that are used, and the candidate."""
        hidden = self.weights.state.shape[1]
        if used == 3:
            return self.sheet.split(gates, (3 * hidden, hidden), 1, f"{label}/parts")
        squashed = self.sheet.part(gates, 0, used * hidden, 1, f"{label}/parts/0")
        return squashed, self.sheet.part(gates, 3 * hidden, hidden, 1, f"{label}/parts/1")


class _SeeingLstm(_Lstm):
    """An LSTM whose gates see the cell (peepholes: i and f the one before, o the new one), or that keeps what does not enter."""

    def step(self, parts: Sequence[str], state: State, label: str) -> State:
        sheet, (h, c) = self.sheet, state
        product = h and self.recurrent(h, f"{label}/recurrent")
        gates = _plus(sheet, parts[0], product, f"{label}/gates")
        first, second, third, last = sheet.split(gates, (self.weights.state.shape[1],) * 4, 1, f"{label}/parts")
        entering = self._gate(first, 0, c, f"{label}/i")
        keeping = self._keeping(entering, third, c, label) if c else ""
        cell = self._cell(entering, [keeping], _clipped(sheet, last, f"{label}/clipped"), c, label)
        leaving = self._gate(second, 1, cell, f"{label}/o")
        return sheet.same("Mul", [leaving, self.of_cell.on(sheet, cell, f"{label}/shown")], f"{label}/h"), cell

    def _gate(self, total: str, place: int, cell: str, label: str) -> str:
        """A gate, with what it sees of a cell that is not zeros."""
        sheet, peepholes = self.sheet, self.weights.peepholes
        if peepholes is not None and cell:
            total = sheet.same("Add", [total, self._seen(cell, peepholes[place], place, label)], f"{label}/total")
        return self.of_gates.on(sheet, _clipped(sheet, total, f"{label}/clipped"), label)

    def _seen(self, cell: str, weights: Array, place: int, label: str) -> str:
        """The cell times the weights of a peephole: a constant where the cell is one."""
        sheet, start = self.sheet, self.sheet.known(cell)
        if start is not None:
            return sheet.constant(f"{label}/seen", start * weights)
        return sheet.same("Mul", [cell, sheet.constant(f"{self.label}/peephole {place}", weights)], f"{label}/seen")

    def _keeping(self, entering: str, total: str, c: str, label: str) -> str:
        """The forget gate; coupled to the input gate it is 1 - i, as ONNX Runtime reads it."""
        if not number(self.sheet.node, "input_forget", 0):
            return self._gate(total, 2, c, f"{label}/f")
        one = self.sheet.constant("one", 1.0)
        return self.sheet.same("Add", [self.sheet.same("Neg", [entering], f"{label}/less"), one], f"{label}/f")


def _lstm(sheet: Sheet, weights: Weights, label: str) -> Cell:
    seeing = weights.peepholes is not None or number(sheet.node, "input_forget", 0)
    return (_SeeingLstm if seeing else _Lstm)(sheet, weights, label)


class _Gru:
    """z, r = sigmoid; h = tanh(x + r (h R + b)) or tanh(x + (r h) R + b); H = h + z (H - h)."""

    def __init__(self, sheet: Sheet, weights: Weights, label: str) -> None:
        self.sheet, self.weights, self.label = sheet, weights, label
        self.of_gates, self.of_candidate = weights.activations
        self.reset_last = bool(number(sheet.node, "linear_before_reset", 0))
        state, bias = weights.state, weights.state_bias
        if self.reset_last:
            late = np.concatenate([np.zeros_like(bias[:2]), bias[2:]]).reshape(-1)
            self.recurrent = _shared(sheet, _rows_of(state), f"{label}/state", late)
        else:
            self.recurrent = _shared(sheet, _rows_of(state[:2]), f"{label}/state")
            self.candidate = _shared(sheet, _rows_of(state[2:]), f"{label}/candidate")

    def inputs(self, rows: str, label: str) -> Sequence[str]:
        weights = self.weights
        early = weights.input_bias + weights.state_bias
        last = weights.input_bias[2] if self.reset_last else early[2]
        gates = self.sheet.weights(_rows_of(weights.input[:2]), early[:2].reshape(-1), f"{self.label}/input")
        candidate = self.sheet.weights(weights.input[2], last, f"{self.label}/candidate input")
        return [
            self.sheet.product(rows, gates, f"{label}/input"),
            self.sheet.product(rows, candidate, f"{label}/candidate input"),
        ]

    def step(self, parts: Sequence[str], state: State, label: str) -> State:
        sheet, (h,) = self.sheet, state
        hidden = self.weights.state.shape[1]
        early, late = self._recurrent(h, label)
        sums = _clipped(sheet, _plus(sheet, parts[0], early, f"{label}/gates"), f"{label}/clipped gates")
        gates = self.of_gates.on(sheet, sums, label)
        update, reset = sheet.split(gates, (hidden, hidden), 1, f"{label}/gate")
        if self.reset_last:
            remembered = sheet.same("Mul", [reset, late], f"{label}/remembered")
        else:
            remembered = h and self.candidate(sheet.same("Mul", [reset, h], f"{label}/reset"), f"{label}/remembered")
        total = _clipped(sheet, _plus(sheet, parts[1], remembered, f"{label}/candidate"), f"{label}/clipped candidate")
        candidate = self.of_candidate.on(sheet, total, label)
        if not h:
            return (sheet.same("Sub", [candidate, sheet.same("Mul", [update, candidate], f"{label}/held")], f"{label}/h"),)
        change = sheet.same("Mul", [update, sheet.same("Sub", [h, candidate], f"{label}/change")], f"{label}/held")
        return (sheet.same("Add", [candidate, change], f"{label}/h"),)

    def _recurrent(self, h: str, label: str) -> tuple[str, str]:
        """The state's part of z and r, and, where the reset gate comes last, of the candidate."""
        if not h:
            return "", self.sheet.constant(f"{label}/bias", self.weights.state_bias[2:]) if self.reset_last else ""
        product = self.recurrent(h, f"{label}/recurrent")
        if not self.reset_last:
            return product, ""
        hidden = self.weights.state.shape[1]
        early, late = self.sheet.split(product, (2 * hidden, hidden), 1, f"{label}/parts")
        return early, late


class _Rnn:
    """H = tanh (x W + h R + b), or another activation of it."""

    def __init__(self, sheet: Sheet, weights: Weights, label: str) -> None:
        self.sheet, self.weights, self.label = sheet, weights, label
        self.recurrent = _shared(sheet, weights.state[0], f"{label}/state")
        (self.activation,) = weights.activations

    def inputs(self, rows: str, label: str) -> Sequence[str]:
        bias = self.weights.input_bias[0] + self.weights.state_bias[0]
        weights = self.sheet.weights(self.weights.input[0], bias, f"{self.label}/input")
        return [self.sheet.product(rows, weights, f"{label}/input")]

    def step(self, parts: Sequence[str], state: State, label: str) -> State:
        total = _plus(self.sheet, parts[0], state[0] and self.recurrent(state[0], f"{label}/recurrent"), f"{label}/gates")
        return (self.activation.on(self.sheet, _clipped(self.sheet, total, f"{label}/clipped"), f"{label}/h"),)


CELLS: Mapping[str, Callable[[Sheet, Weights, str], Cell]] = {"LSTM": _lstm, "GRU": _Gru, "RNN": _Rnn}


def _rows_of(weights: Array) -> Array:
    """[gates, hidden, width] as [gates * hidden, width]."""
    return weights.reshape(-1, weights.shape[-1])


def _shared(sheet: Sheet, weights: Array, label: str, bias: Array | None = None) -> Callable[[str, str], str]:
    """A product with the same weights in every step."""
    constants = sheet.weights(weights, bias, label)
    return lambda rows, name: sheet.product(rows, constants, name)


def _plus(sheet: Sheet, first: str, second: str, label: str) -> str:
    """The sum; the first alone when there is no second."""
    return sheet.same("Add", [first, second], label) if second else first


def _clipped(sheet: Sheet, name: str, label: str) -> str:
    """What an activation reads: within the node's `clip`, where it has one."""
    if "clip" not in sheet.node.attributes:
        return name
    bound = number(sheet.node, "clip", 0.0)
    bounds = [sheet.constant("lowest", -bound), sheet.constant("highest", bound)]
    return sheet.same("Clip", [name, *bounds], label)
