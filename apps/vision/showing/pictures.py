"""A camera's pictures for whoever watches: drawn and encoded in a thread of their own, and only while somebody does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event as Flag
from threading import Thread
from time import monotonic

import numpy as np

from edgekit.apps.vision.analysis.analyst import Look
from edgekit.apps.vision.rules.settings import Camera
from edgekit.apps.vision.showing.filters import filtered
from edgekit.apps.vision.showing.overlay import Picture, jpeg, overlaid
from edgekit.apps.vision.showing.segmentation import tinted
from edgekit.apps.vision.sources.latest import Latest
from edgekit.apps.vision.stages import Stages
from edgekit.apps.web.live import Broadcast
from edgekit.core.optional import need

WIDTH, RATE = 960, 10.0
"""Shown pictures are at most so wide, and at most so many a second."""
SHARP = 800
"""Names are drawn into pictures at least so wide: letters in a small one, which a page shows larger, cannot be read."""
LOOK_S = 0.25

Veil = Callable[[Picture, Look], Picture]
"""Takes out of a picture what nobody may see; every picture that is shown or kept goes through it."""


def unveiled(picture: Picture, look: Look) -> Picture:
    """Everything may be seen."""
    return picture


def enlarged(picture: Picture, width: int) -> Picture:
    """The picture [h, w, 3] at least `width` wide."""
    if picture.shape[1] >= width:
        return picture
    height = round(picture.shape[0] * width / picture.shape[1])
    return np.asarray(need("PIL.Image").fromarray(picture).resize((width, height), resample=2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A look and the settings it was made by."""

    look: Look
    camera: Camera


class Showing:
    """`marked` shows what was found, `plain` the picture alone (zones are drawn on it)."""

    def __init__(self, labels: tuple[str, ...], stages: Stages, veil: Veil = unveiled) -> None:
        self.marked, self.plain = Broadcast(), Broadcast()
        self._labels, self._stages, self._veil = labels, stages, veil
        self._next, self._stopped = Latest[Shown](), Flag()
        self._last: Shown | None = None
        self._done: dict[Broadcast, Shown] = {}
        self._thread = Thread(target=self._show_on, name="pictures", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._next.close()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def put(self, look: Look, camera: Camera) -> None:
        """The next look; it costs nothing while nobody watches."""
        self._next.put(Shown(look=look, camera=camera))

    def picture(self, look: Look, width: int = WIDTH) -> Picture:
        """The look's frame as it may be seen, at most `width` wide."""
        frame = look.frame
        wide = min(width, frame.width)
        return self._veil(frame.rgb(wide, max(round(frame.height * wide / frame.width), 1)), look)

    def _show_on(self) -> None:
        due_s = 0.0
        while not self._stopped.is_set():
            shown = self._next.take(LOOK_S)
            self._last = shown or self._last
            if self._last is not None and monotonic() >= due_s and self._encode(self._last):
                due_s = monotonic() + 0.9 / RATE
            if self._next.closed:
                self._stopped.wait(LOOK_S)

    def _encode(self, shown: Shown) -> bool:
        """Make the pictures that somebody waits for and does not have yet; whether there were any."""
        wanted = [each for each in (self.marked, self.plain) if each.is_watched and self._done.get(each) is not shown]
        if not wanted:
            return False
        with self._stages.timed("show"):
            picture = self.picture(shown.look)
            for broadcast in wanted:
                marked = broadcast is self.marked
                broadcast.show(jpeg(self._marked(picture, shown) if marked else picture))
                self._done[broadcast] = shown
        return True

    def _marked(self, picture: Picture, shown: Shown) -> Picture:
        """The picture with shapes and the camera's filter, and what was found drawn over it."""
        look, camera = shown.look, shown.camera
        picture = enlarged(picture, SHARP)
        return overlaid(filtered(tinted(picture, look, camera), look, camera.filter), look, camera, self._labels)
