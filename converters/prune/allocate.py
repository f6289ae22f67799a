"""How many channels each family keeps: the next step is always the one that costs the least noise per multiply-accumulate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.prune.coupling.families import Work
from edgekit.converters.prune.measure.sensitivity import Ladder
from edgekit.core.errors import InputError


def allocate(work: Work, ladders: Sequence[Ladder], share: float) -> NDArray[np.int64]:
    """[families]: how many sets to keep so that at least `share` of the MACs go.

    Raises `InputError` saying how much can go when that is less.
    """
    at = np.zeros(len(ladders), np.int64)
    kept = np.array([one.choices[0] for one in ladders], dtype=np.int64)
    limit = (1.0 - share) * work.total
    now = work.macs(kept)
    while now > limit:
        step = _cheapest(work, ladders, at, kept, now)
        if step is None:
            most = 1.0 - now / max(work.total, 1.0)
            raise InputError(
                f"at most {most:.0%} of the multiply-accumulates can be pruned away, asked was {share:.0%}",
                f"--prune {int(100 * most)}%" if most >= 0.01 else "this model has no channels that may go: leave out --prune",
            )
        at[step] += 1
        kept[step] = ladders[step].choices[at[step]]
        now = work.macs(kept)
    while (step := _spared(work, ladders, at, kept, limit)) is not None:
        at[step] -= 1
        kept[step] = ladders[step].choices[at[step]]
    return kept


def _spared(work: Work, ladders: Sequence[Ladder], at: NDArray[np.int64], kept: NDArray[np.int64], limit: float) -> int | None:
    """The family whose last step, no longer needed after a large one elsewhere, is best taken back; None when all are needed."""
    best, found = -1.0, None
    for index in map(int, np.flatnonzero(at > 0)):
        before = kept.copy()
        before[index] = ladders[index].choices[at[index] - 1]
        gain = float(ladders[index].noise[at[index]] - ladders[index].noise[at[index] - 1])
        if gain > best and work.macs(before) <= limit:
            best, found = gain, index
    return found


def _cheapest(work: Work, ladders: Sequence[Ladder], at: NDArray[np.int64], kept: NDArray[np.int64], now: float) -> int | None:
    """The family whose next step adds the least noise per MAC saved, or None when no step saves any."""
    best, found = np.inf, None
    for index, one in enumerate(ladders):
        if at[index] + 1 >= len(one.choices):
            continue
        after = kept.copy()
        after[index] = one.choices[at[index] + 1]
        saved = now - work.macs(after)
        if saved > 0:
            price = (one.noise[at[index] + 1] - one.noise[at[index]]) / saved
            if price < best:
                best, found = price, index
    return found
