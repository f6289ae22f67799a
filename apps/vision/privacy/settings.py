"""What of a camera's pictures nobody may see."""

from __future__ import annotations

from typing import Literal

from edgekit.core.schema import Value

Faces = Literal["shown", "blurred"]


class Mask(Value, frozen=True, kw_only=True):
    """A polygon in shares of the picture; what it holds is black from the first step on, for people and models alike."""

    points: tuple[tuple[float, float], ...]
