"""In which order the channels of a family go, when what is lost with each is made up for by those that stay.

The optimal brain surgeon (Hassibi, Stork and Wolff, "Optimal Brain Surgeon and General Network Pruning", ICNN 1993) on whole channels:
a reader's output is fitted anew, by least squares, after each removal, so a channel that others can imitate is worth little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.converters.graph import Floats, Graph
from edgekit.converters.prune.coupling.channels import Ints
from edgekit.converters.prune.coupling.families import Family
from edgekit.converters.prune.coupling.walk import Coupling
from edgekit.converters.prune.measure.importance import Moments

DAMPING = 1e-3
"""Of the mean variance, on the diagonal: what nearly equal channels may imitate of each other is limited."""


@dataclass(kw_only=True, eq=False)
class Reader:
    """A layer that reads a family: kernel rows per input channel, how those channels vary, and which unit each belongs to (or -1)."""

    kernel: Floats
    """[channels, outputs x taps], as it is after making up for what has gone."""
    inverse: Floats
    """[channels, channels]: of the damped covariance of what is left."""
    unit: Ints
    total: float
    """Energy of the whole output: errors are given as shares of it."""

    def costs(self, units: int) -> Floats:
        """[units]: the share of the output's energy that goes with each unit, as far as the others cannot make up for it."""
        mine = self.unit >= 0
        lost = np.square(self.kernel[mine]).sum(axis=1) / np.maximum(np.diagonal(self.inverse)[mine], 1e-300)
        return np.asarray(np.bincount(self.unit[mine], lost / self.total, minlength=units), np.float64)

    def remove(self, unit: int) -> None:
        """Take the unit's channels away, one by one, and let the others make up for them."""
        for channel in np.flatnonzero(self.unit == unit):
            column = self.inverse[:, channel] / self.inverse[channel, channel]
            self.kernel -= np.outer(column, self.kernel[channel])
            self.inverse -= np.outer(column, self.inverse[channel])
            self.unit[channel] = -1


def elimination(family: Family, readers: Sequence[Reader]) -> tuple[Ints, Floats]:
    """(units, the least worthy first; [units + 1]: the error that is left after the first so many have gone)."""
    left = np.ones(len(family.units), bool)
    order: list[int] = []
    lost = [0.0]
    while left.any():
        costs = np.where(left, sum((reader.costs(len(left)) for reader in readers), np.zeros(len(left))), np.inf)
        unit = int(np.argmin(costs))
        for reader in readers:
            reader.remove(unit)
        left[unit] = False
        order.append(unit)
        lost.append(lost[-1] + max(float(costs[unit]), 0.0))
    return family.units[np.array(order)], np.array(lost)


def readers_of(family: Family, graph: Graph, coupling: Coupling, measured: Mapping[str, Moments]) -> list[Reader]:
    """The layers that read a family's channels, with what was measured of them."""
    nodes = {node.name: node for node in graph.nodes}
    number = np.full(len(coupling.roots), -1, np.int64)
    number[family.units] = np.arange(len(family.units))
    found = []
    for cut in coupling.cuts:
        unit = number[coupling.roots[cut.labels]]
        node = nodes[cut.node]
        if cut.role != "reads" or not np.any(unit >= 0) or node.inputs[0] not in measured:
            continue
        covariance = measured[node.inputs[0]].covariance
        parts = [covariance[at : at + len(unit), at : at + len(unit)] for at in range(0, len(covariance), len(unit))]
        together = np.mean(parts, axis=0)
        found.append(_reader(np.moveaxis(graph.constants[node.inputs[cut.index]], cut.axis, 0), together, unit))
    return found


def _reader(kernel: Floats, covariance: Floats, unit: Ints) -> Reader:
    rows = kernel.reshape(len(unit), -1).astype(np.float64)
    total = float(np.einsum("ij,ij->", rows, covariance @ rows))
    inverse = np.asarray(np.linalg.inv(damped(covariance)), np.float64)
    return Reader(kernel=rows, inverse=inverse, unit=unit.copy(), total=max(total, 1e-300))


def damped(covariance: Floats) -> Floats:
    """A covariance that can be inverted."""
    return covariance + np.eye(len(covariance)) * (DAMPING * float(np.trace(covariance)) / len(covariance) + 1e-12)
