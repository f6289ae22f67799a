"""Least squares from running sums, for all groups of a layer at once, held as small as samples held out say is best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.converters.graph import Array, Floats

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Of the mean variance of a group's inputs: what keeps a correction small where the data say little."""


@dataclass(kw_only=True, eq=False)
class Sums:
    """Running sums of inputs x [groups, n] and of what is missing r [groups, m]."""

    count: int
    x: Floats
    r: Floats
    xx: Floats
    xr: Floats

    @staticmethod
    def empty(groups: int, inputs: int, outputs: int) -> Sums:
        """Sums of nothing."""
        return Sums(
            count=0,
            x=np.zeros((groups, inputs)),
            r=np.zeros((groups, outputs)),
            xx=np.zeros((groups, inputs, inputs)),
            xr=np.zeros((groups, inputs, outputs)),
        )

    def take(self, inputs: Array, missing: Array) -> None:
        """Rows [places, groups, n] and what is missing there [places, groups, m]."""
        x, r = (np.moveaxis(values, 1, 0).astype(np.float64) for values in (inputs, missing))
        self.count += x.shape[1]
        self.x += x.sum(axis=1)
        self.r += r.sum(axis=1)
        self.xx += x.transpose(0, 2, 1) @ x
        self.xr += x.transpose(0, 2, 1) @ r

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            count=self.count + other.count,
            x=self.x + other.x,
            r=self.r + other.r,
            xx=self.xx + other.xx,
            xr=self.xr + other.xr,
        )

    def moments(self, *, centred: bool) -> tuple[Floats, Floats]:
        """(xx, xr) per row, about the means where a bias takes those."""
        if not centred:
            return self.xx / self.count, self.xr / self.count
        mean = self.x[:, :, None] / self.count
        return (
            self.xx / self.count - mean @ mean.transpose(0, 2, 1),
            self.xr / self.count - mean @ (self.r[:, None, :] / self.count),
        )


def correction(fit: Sums, check: Sums, *, biased: bool) -> Floats | None:
    """The weights [groups, n, m] that add what is missing: how freely is decided on `check`. None when nothing helps there."""
    best, chosen = 0.0, None
    for ridge in RIDGES if fit.count and check.count else ():
        gain = _gain(solved(fit, ridge, biased=biased), check, biased=biased)
        if gain > best:
            best, chosen = gain, ridge
    return None if chosen is None else solved(fit + check, chosen, biased=biased)


def solved(sums: Sums, ridge: float, *, biased: bool) -> Floats:
    """Ridge regression of what is missing on the inputs."""
    xx, xr = sums.moments(centred=biased)
    size = xx.shape[1]
    damping = ridge * np.trace(xx, axis1=1, axis2=2) / size
    tiny = np.finfo(np.float64).tiny ** 0.5
    return np.linalg.solve(xx + np.maximum(damping, tiny)[:, None, None] * np.eye(size), xr)


def _gain(weights: Floats, sums: Sums, *, biased: bool) -> float:
    """How much of the squared error goes."""
    xx, xr = sums.moments(centred=biased)
    return float(2 * np.sum(weights * xr) - np.sum(weights * (xx @ weights)))
