"""Whether measurements can be what they are said to be, asked without any model of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from edgekit.prediction.fit import Terms

MARGIN = 1.1
"""A model must be this much slower than one that does more of everything before the pair counts as out of order."""


def disorder(rows: Sequence[Terms], measured_ms: Sequence[float]) -> float:
    """Of the pairs in which one model does no more of anything than the other: the share in which it is the slower one.

    Next to none on a machine that does nothing else: more work takes longer, whatever the rates are. 0.0 without such pairs.
    """
    pairs = [(less, more) for less, more in permutations(range(len(rows)), 2) if does_less(rows[less], rows[more])]
    wrong = sum(measured_ms[less] > MARGIN * measured_ms[more] for less, more in pairs)
    return wrong / len(pairs) if pairs else 0.0


def does_less(one: Terms, other: Terms) -> bool:
    """Whether `one` has no more of any term than `other`, and less of one."""
    names = one.keys() | other.keys()
    return all(one.get(name, 0) <= other.get(name, 0) for name in names) and dict(one) != dict(other)
