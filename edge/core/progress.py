"""How long work says how far it is.

Functions take a `Progress` and call it with an `Event`; who draws it is not their business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Event(NamedTuple):
    """One step of a stage: `done` of `total` (0 when the total is unknown).

    A tuple, since every command starts with this module, and dataclasses import half of Python.
    """

    stage: str
    done: int = 0
    total: int = 0


Progress = Callable[[Event], None]


def silent(event: Event) -> None:
    """The default: says nothing."""


def staged(progress: Progress, stage: str) -> Progress:
    """The same progress, with every event under another stage's name."""
    return lambda event: progress(event._replace(stage=stage))
