"""Sequences that end before others do, or where the model says at run time: a step past the end keeps the state and shows zeros."""

from __future__ import annotations

import numpy as np

from edgekit.converters.lower.tflite.legal.recurrent_cells import State
from edgekit.converters.sheet import Sheet


class Lengths:
    """How many steps of each member of the batch count: a tensor of integers, [batch], constant or computed."""

    def __init__(self, sheet: Sheet, name: str, batch: int) -> None:
        self.sheet, self.name, self.batch = sheet, name, batch
        self._computed: dict[int, str] = {}
        self.known = sheet.graph.constants.get(name)
        self.column = name if self.known is not None else sheet.view(name, (batch, 1), "lengths/column", dtype="int32")

    def held(self, step: int, new: State, old: State, label: str) -> State:
        """The new state of the sequences that have this step, the old one of the others. A state of zeros has no name."""
        if self.known is not None and np.all(self.known > step):
            return new
        alive = self._alive(step)
        return tuple(self._chosen(alive, *pair, f"{label}/held {i}") for i, pair in enumerate(zip(new, old, strict=True)))

    def shown(self, states: str, label: str) -> str:
        """Zeros for the steps that a sequence has not; `states` is [steps, batch, width]."""
        sheet, (steps, batch, _) = self.sheet, self.sheet.shape(states)
        counted = np.arange(steps).reshape(-1, 1, 1)
        if self.known is not None:
            alive = sheet.constant(f"{label}/alive", self.known.reshape(1, -1, 1) > counted, "bool")
        else:
            across = sheet.view(self.name, (1, batch, 1), f"{label}/lengths", dtype="int32")
            bounds = [across, sheet.constant(f"{label}/steps", counted, "int32")]
            alive = sheet.add("Greater", bounds, (steps, batch, 1), f"{label}/alive", dtype="bool")
        zero = sheet.constant(f"{label}/zero", np.zeros((1, 1, 1)))
        return sheet.add("Where", [alive, states, zero], sheet.shape(states), label)

    def _alive(self, step: int) -> str:
        """Which sequences have this step, [batch, 1]; the same tensor for both directions."""
        label = f"lengths/{step}"
        if self.known is not None:
            return self.sheet.constant(label, self.known.reshape(-1, 1) > step, "bool")
        if step not in self._computed:
            bounds = [self.column, self.sheet.constant(f"{label}/number", [[step]], "int32")]
            self._computed[step] = self.sheet.add("Greater", bounds, (self.batch, 1), label, dtype="bool")
        return self._computed[step]

    def _chosen(self, alive: str, new: str, old: str, label: str) -> str:
        kept = old or self.sheet.constant("zeros", np.zeros(self.sheet.shape(new)))
        return self.sheet.add("Where", [alive, new, kept], self.sheet.shape(new), label)
