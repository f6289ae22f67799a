"""What a look found, drawn into its picture: boxes with track numbers, skeletons, zones and lines."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.drawing import PALETTE, Color, color_of
from edgekit.apps.vision.analysis.analyst import Look
from edgekit.apps.vision.poses.keypoints import Pose
from edgekit.apps.vision.rules.places import Line, Zone
from edgekit.apps.vision.rules.settings import Camera
from edgekit.apps.vision.tracking.tracks import Tracks
from edgekit.core.optional import need

Picture = NDArray[np.uint8]
Rectangle = tuple[float, float, float, float]
LIMBS = (
    (5, 7), (7, 9), (6, 8), (8, 10), (5, 6), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16), (0, 5), (0, 6),
)  # fmt: skip
SEEN = 0.2
"""Joints of a lower score are not drawn."""
ZONE, LINE, DARK = (64, 170, 255), (255, 196, 64), (16, 18, 17)
QUALITY = 80


def overlaid(picture: Picture, look: Look, camera: Camera, labels: tuple[str, ...]) -> Picture:
    """A copy of `picture` ([h, w, 3] uint8 RGB, the look's frame at any size) with everything that was found.

    A box has its track's colour, or where shapes are shown its class's, as they have. Who was seen in this very frame is named first:
    the others' names go where there is room.
    """
    image = need("PIL.Image").fromarray(picture)
    pen = _Pen(image, look.frame.width, look.frame.height)
    for name, zone in camera.zones.items():
        pen.zone(name, zone)
    for name, line in camera.lines.items():
        pen.line(name, line)
    tracks = look.people.tracks
    of_class = look.found.segments is not None and camera.segmentation == "shown"
    tints = [
        color_of(int(kind)) if of_class else color(int(track)) for kind, track in zip(tracks.class_ids, tracks.ids, strict=True)
    ]
    for row in range(len(tracks)):
        pen.box(tracks.boxes[row], tints[row], shown=bool(tracks.fresh[row]))
    for row in np.argsort(~tracks.fresh, kind="stable"):
        pen.name(tracks.boxes[row], _named(tracks, row, labels), tints[row], shown=bool(tracks.fresh[row]))
    for track, pose in look.people.poses.items():
        pen.skeleton(pose, color(track))
    return np.asarray(image)


def _named(tracks: Tracks, row: int, labels: tuple[str, ...]) -> str:
    kind = int(tracks.class_ids[row])
    return f"{labels[kind] if kind < len(labels) else 'thing'} {tracks.ids[row]} · {tracks.scores[row]:.0%}"


def jpeg(picture: Picture, quality: int = QUALITY) -> bytes:
    """The picture as a JPEG."""
    buffer = io.BytesIO()
    need("PIL.Image").fromarray(picture).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def color(track: int) -> Color:
    """A track's colour, the same as long as it is followed."""
    return PALETTE[track % len(PALETTE)]


def places_json(camera: Camera) -> Mapping[str, Any]:
    """Zones and lines as plain values."""
    return {
        "zones": {name: {"points": [list(point) for point in zone.points]} for name, zone in camera.zones.items()},
        "lines": {name: {"start": list(line.start), "end": list(line.end)} for name, line in camera.lines.items()},
    }


class _Pen:
    """Draws on one picture; places are given in pixels of the frame, or in shares of it."""

    def __init__(self, image: Any, frame_width: int, frame_height: int) -> None:
        self._canvas = need("PIL.ImageDraw").Draw(image, "RGBA")
        self._width, self._height = image.size
        self._scale = np.array([self._width / frame_width, self._height / frame_height])
        side = min(image.size)
        self._font = need("PIL.ImageFont").load_default(size=max(9, side // 38))
        self._stroke = max(2, side // 180)
        self._plates: list[Rectangle] = []

    def zone(self, name: str, zone: Zone) -> None:
        corners = [self._at(point) for point in zone.points]
        self._canvas.polygon(corners, fill=(*ZONE, 36))
        self._canvas.line([*corners, corners[0]], fill=(*ZONE, 230), width=self._stroke, joint="curve")
        self._tag(corners[0], name, ZONE)

    def line(self, name: str, line: Line) -> None:
        """The line, and the arrow of who goes forward."""
        start, end = np.array(self._at(line.start)), np.array(self._at(line.end))
        self._canvas.line([tuple(start), tuple(end)], fill=(*LINE, 240), width=self._stroke + 1)
        along = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
        across, middle, size = np.array([-along[1], along[0]]), (start + end) / 2, 5.0 * self._stroke
        tip = middle + across * size * 1.6
        self._canvas.polygon([tuple(tip), tuple(middle + along * size), tuple(middle - along * size)], fill=(*LINE, 240))
        self._tag(tuple(start), name, LINE)

    def box(self, box: NDArray[np.floating[Any]], tint: Color, *, shown: bool) -> None:
        """A frame; thin and pale where the track was not seen in this very frame."""
        x1, y1, x2, y2 = (box.reshape(2, 2) * self._scale).ravel().tolist()
        edges = (x1, y1, max(x2 - 1, x1 + 1), max(y2 - 1, y1 + 1))
        width = self._stroke if shown else max(self._stroke // 2, 1)
        self._canvas.rounded_rectangle(edges, radius=2 * self._stroke, outline=(*tint, 255 if shown else 130), width=width)

    def name(self, box: NDArray[np.floating[Any]], text: str, tint: Color, *, shown: bool) -> None:
        """A box's plate, above or below it; pale as the box is."""
        x1, y1, x2, y2 = (box.reshape(2, 2) * self._scale).ravel().tolist()
        self._tag((x1, y1), text, tint, opposite=(x2, y2), cover=235 if shown else 150)

    def skeleton(self, pose: Pose, tint: Color) -> None:
        points, seen = pose.points * self._scale, pose.scores >= SEEN
        tall = float(np.ptp(points[seen], axis=0).max(initial=0.0)) if seen.any() else 0.0
        width = min(self._stroke, max(round(tall / 70), 1))  # somebody far away is not to vanish behind their own bones
        for one, other in LIMBS:
            if seen[one] and seen[other]:
                self._canvas.line([tuple(points[one]), tuple(points[other])], fill=(255, 255, 255, 220), width=width)
        radius = width * 1.2
        for x, y in points[seen]:
            self._canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tint, outline=(255, 255, 255, 220))

    def _tag(
        self, at: tuple[float, float], text: str, tint: Color, *, opposite: tuple[float, float] | None = None, cover: int = 235
    ) -> None:
        """A word on a plate, never off the picture: at a place, or around a box, whose other corner is `opposite`."""
        left, top, right, bottom = self._canvas.textbbox((0, 0), text, font=self._font)
        wide, tall = right - left + 4 * self._stroke, bottom - top + 3 * self._stroke
        places = [at]
        if opposite is not None:
            heights = (at[1] - tall, opposite[1], at[1] - 2 * tall, opposite[1] + tall)
            places = [(x, height) for height in heights for x in (at[0], opposite[0] - wide)]
        x, y, *_ = plate = self._free([self._plate(*place, wide, tall) for place in places])
        self._plates.append(plate)
        self._canvas.rounded_rectangle(plate, radius=self._stroke, fill=(*tint, cover))
        self._canvas.text((x + 2 * self._stroke - left, y + 1.5 * self._stroke - top), text, font=self._font, fill=DARK)

    def _plate(self, x: float, y: float, wide: float, tall: float) -> Rectangle:
        """A plate there, or as near as the picture allows."""
        x, y = min(max(x, 0), self._width - wide), min(max(y, 0), self._height - tall)
        return x, y, x + wide, y + tall

    def _free(self, plates: list[Rectangle]) -> Rectangle:
        """The first that covers no other plate; the very first where all do."""
        return next((plate for plate in plates if not any(_meet(plate, other) for other in self._plates)), plates[0])

    def _at(self, point: tuple[float, float]) -> tuple[float, float]:
        return point[0] * self._width, point[1] * self._height


def _meet(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
