"""A frame on its way: planes as the decoder left them, from which only what a stage needs is converted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.optional import need

Plane = NDArray[np.uint8]
PLANAR = ("yuv420p", "yuvj420p")
_BLACK, _GREY = 16, 128
SCALERS = 4
"""Scalers that each thread keeps: for a detector, what is shown, and what is kept."""
_of_thread = local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture of a source. `time_s` is the source's own time (since its first frame in a recording), `planes` a
    `av.VideoFrame`; nothing is copied or converted before somebody asks."""

    number: int
    time_s: float
    planes: Any
    key: bool = False

    @property
    def width(self) -> int:
        return int(self.planes.width)

    @property
    def height(self) -> int:
        return int(self.planes.height)

    def luma(self) -> Plane:
        """Brightness [h, w] without a copy where the decoder gave it as a plane, else converted."""
        planes = self.planes if self.planes.format.name in (*PLANAR, "nv12", "gray") else self.planes.reformat(format="gray")
        return _view(planes.planes[0], planes.height, planes.width)

    def rgb(self, width: int = 0, height: int = 0) -> Plane:
        """[height, width, 3] uint8 RGB, scaled and converted in one step; 0 keeps the frame's own size."""
        return self._scaled(width or self.width, height or self.height, "rgb24")

    def bgr(self, width: int = 0, height: int = 0) -> Plane:
        """The same in the order blue, green, red, which the scaler gives in half the time."""
        return self._scaled(width or self.width, height or self.height, "bgr24")

    def _scaled(self, width: int, height: int, order: str) -> Plane:
        """A pixel of a smaller picture is the mean of those it stands for, in half the time of a bilinear one."""
        interpolation = "AREA" if width <= self.width and height <= self.height else "BILINEAR"
        scaler = _scaler(width, height, order, interpolation)
        scaled = scaler.reformat(self.planes, width=width, height=height, format=order, interpolation=interpolation, **_alone())
        return np.asarray(scaled.to_ndarray())

    def square(self, box: NDArray[np.floating[Any]], side: int) -> Plane:
        """The square [x1, y1, x2, y2] of the frame in pixels as [side, side, 3] RGB, black where it reaches beyond the frame.

        Only the pixels inside are copied: a crop of a large frame costs what the crop is worth.
        """
        planes = self.planes if self.planes.format.name in PLANAR else self.planes.reformat(format="yuv420p")
        left, top, edge = _even_square(box)
        canvas = np.full((edge * 3 // 2, edge), _GREY, np.uint8)
        canvas[:edge] = _BLACK
        _paste(canvas[:edge], _view(planes.planes[0], planes.height, planes.width), left, top)
        half, rows = edge // 2, canvas[edge:].reshape(2, edge // 2, edge // 2)
        for index in (0, 1):
            chroma = _view(planes.planes[index + 1], (planes.height + 1) // 2, (planes.width + 1) // 2)
            _paste(rows[index], chroma, left // 2, top // 2)
        assert half * 2 == edge
        crop = need("av").VideoFrame.from_ndarray(canvas, format="yuv420p")
        crop.color_range = planes.color_range
        small = crop.reformat(width=side, height=side, format="rgb24", interpolation="BILINEAR")
        return np.asarray(small.to_ndarray())


def from_rgb(image: Plane, *, number: int, time_s: float) -> Frame:
    """A frame around a picture [h, w, 3] uint8 RGB."""
    return Frame(number=number, time_s=time_s, planes=need("av").VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24"))


@cache
def _alone() -> dict[str, int]:
    """What keeps a scaler in the thread that asks: newer PyAVs give it every core, where the networks are at work."""
    told = need("av.video.reformatter").VideoReformatter.reformat.__doc__ or ""
    return {"threads": 1} if ":param int threads:" in told else {}


def _scaler(*wanted: Any) -> Any:
    """A scaler that this thread used for that size and format before: making its tables costs more than scaling a picture."""
    made: dict[tuple[Any, ...], Any] = _of_thread.__dict__.setdefault("scalers", {})
    if wanted not in made:
        while len(made) >= SCALERS:
            del made[next(iter(made))]
        made[wanted] = need("av.video.reformatter").VideoReformatter()
    return made[wanted]


def _view(plane: Any, height: int, width: int) -> Plane:
    """A plane's memory as [height, width], its padding at the right cut off."""
    rows = np.frombuffer(plane, np.uint8)
    return rows[: plane.line_size * height].reshape(height, plane.line_size)[:, :width]


def _even_square(box: NDArray[np.floating[Any]]) -> tuple[int, int, int]:
    """Left, top and side in even pixels, so that the chroma planes have a crop of exactly half of each."""
    left, top = (int(np.floor(edge / 2)) * 2 for edge in box[:2])
    edge = max(int(np.ceil(max(box[2] - box[0], box[3] - box[1]) / 2)) * 2, 8)
    return left, top, edge


def _paste(canvas: Plane, plane: Plane, left: int, top: int) -> None:
    """Fill `canvas` with what of `plane` lies behind it; what lies outside stays as it is."""
    height, width = canvas.shape
    y1, y2 = max(top, 0), min(top + height, plane.shape[0])
    x1, x2 = max(left, 0), min(left + width, plane.shape[1])
    if y1 < y2 and x1 < x2:
        canvas[y1 - top : y2 - top, x1 - left : x2 - left] = plane[y1:y2, x1:x2]
