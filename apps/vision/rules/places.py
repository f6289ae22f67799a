"""Zones and lines of a camera's picture, in shares of its width and height, so that another resolution changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.core.schema import Value

Point = tuple[float, float]
Floats = NDArray[np.float64]
Share = msgspec.Meta(ge=0.0, le=1.0)
Direction = Literal["forward", "backward"]


class Zone(Value, frozen=True, kw_only=True):
    """A polygon; somebody is in it when the middle of the lower edge of their box, where they stand, is."""

    points: tuple[Point, ...]
    inertia: int = 3
    """Looks in a row that must agree before somebody counts as in, or as out again."""


class Line(Value, frozen=True, kw_only=True):
    """A line from `start` to `end`; who crosses it from its left to its right, looking along it, goes forward.

    `band` is the hysteresis: a share of the picture's diagonal on both sides in which somebody is still where they were.
    """

    start: Point
    end: Point
    band: float = 0.015


def feet(boxes: Floats, width: int, height: int) -> Floats:
    """[N, 2]: where people stand, in shares of the picture."""
    return np.stack([(boxes[:, 0] + boxes[:, 2]) / 2 / width, np.minimum(boxes[:, 3] / height, 1.0)], axis=1)


def inside(points: Floats, polygon: tuple[Point, ...]) -> NDArray[np.bool_]:
    """Which of [N, 2] points lie in the polygon (even-odd rule)."""
    corners = np.array(polygon)
    x1, y1 = corners.T
    x2, y2 = np.roll(corners, -1, axis=0).T
    x, y = points[:, :1], points[:, 1:]
    spans = (y1 > y) != (y2 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = x < (x2 - x1) * (y - y1) / (y2 - y1) + x1
    odd: NDArray[np.bool_] = (spans & crossing).sum(axis=1) % 2 == 1
    return odd


class ZoneWatch:
    """Who is in one zone, by track, with its inertia."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._streak: dict[int, int] = {}
        self._since_s: dict[int, float] = {}

    def look(self, ids: NDArray[np.int64], points: Floats, time_s: float) -> dict[int, float]:
        """Tracks that are in the zone and since when; those that are no longer followed are forgotten."""
        now = inside(points, self._zone.points) if len(points) else np.empty(0, np.bool_)
        seen = dict(zip(map(int, ids), map(bool, now), strict=True))
        self._streak = {track: self._counted(track, here) for track, here in seen.items()}
        kept = {track: since for track, since in self._since_s.items() if track in seen}
        self._since_s = {track: since for track, since in kept.items() if self._streak[track] > -self._zone.inertia}
        for track, streak in self._streak.items():
            if streak >= self._zone.inertia:
                self._since_s.setdefault(track, time_s)
        return dict(self._since_s)

    def _counted(self, track: int, here: bool) -> int:
        """Looks in a row inside (positive) or outside (negative)."""
        before = self._streak.get(track, 0)
        return max(before, 0) + 1 if here else min(before, 0) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A track went over a line."""

    track: int
    direction: Direction
    time_s: float


class LineWatch:
    """Which side of one line each track is on. Only who passes between the line's ends, and out of its band, has crossed it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._side: dict[int, int] = {}
        self._last: dict[int, Point] = {}

    def look(self, ids: NDArray[np.int64], points: Floats, time_s: float) -> list[Crossing]:
        """The crossings since the last look."""
        found = []
        for track, (x, y) in zip(map(int, ids), points, strict=True):
            crossing = self._moved(track, (float(x), float(y)), time_s)
            if crossing is not None:
                found.append(crossing)
        self._side = {int(track): self._side[int(track)] for track in ids if int(track) in self._side}
        self._last = {int(track): self._last[int(track)] for track in ids if int(track) in self._last}
        return found

    def _moved(self, track: int, point: Point, time_s: float) -> Crossing | None:
        side = self._clear_side(point)
        if side == 0:
            return None
        before, origin = self._side.get(track), self._last.get(track)
        self._side[track], self._last[track] = side, point
        if before in (None, side) or origin is None or not self._between(origin, point):
            return None
        return Crossing(track=track, direction="forward" if side > 0 else "backward", time_s=time_s)

    def _clear_side(self, point: Point) -> int:
        """1 right of the line (looking along it, in a picture whose y grows downwards), -1 left, 0 within the band."""
        (x1, y1), (x2, y2) = self._line.start, self._line.end
        length = float(np.hypot(x2 - x1, y2 - y1))
        off = ((x2 - x1) * (point[1] - y1) - (y2 - y1) * (point[0] - x1)) / max(length, 1e-9)
        return 0 if abs(off) <= self._line.band * 2**0.5 else (1 if off > 0 else -1)

    def _between(self, origin: Point, point: Point) -> bool:
        """Whether the way from one point to the other meets the line between its ends."""
        start, end = np.array(self._line.start), np.array(self._line.end)
        way, along = np.subtract(point, origin), end - start
        cross = float(way[0] * along[1] - way[1] * along[0])
        if abs(cross) < 1e-12:
            return False
        offset = start - origin
        share = float(offset[0] * way[1] - offset[1] * way[0]) / cross
        return 0 <= share <= 1
