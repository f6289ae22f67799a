"""A folder of pictures as if a camera had taken them one after the other."""

from __future__ import annotations

from pathlib import Path

from edgekit.apps.vision.frames import Frame, from_rgb
from edgekit.tasks.pictures.images import list_images, read_image

RATE = 10.0
"""Pictures a second of the clock that rules go by."""


class PicturesCapture:
    """The pictures in the order of their names."""

    def __init__(self, folder: Path, rate: float = RATE) -> None:
        self._paths, self._rate, self._number = list_images(folder).paths, rate, 0

    def read(self) -> Frame | None:
        if self._number == len(self._paths):
            return None
        frame = from_rgb(read_image(self._paths[self._number]), number=self._number, time_s=self._number / self._rate)
        self._number += 1
        return frame

    def close(self) -> None:
        self._number = len(self._paths)
