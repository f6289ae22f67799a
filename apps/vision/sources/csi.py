"""A camera on a Raspberry Pi's ribbon cable, through picamera2: its small YUV stream, never the large one."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.frames import Frame
from edgekit.core.errors import DeviceError, MissingDependency
from edgekit.core.optional import need

HINT = "sudo apt install python3-picamera2, and a virtual environment made with --system-site-packages"


class CsiCapture:
    """Camera `index`. `module` is picamera2, or anything with its `Picamera2`."""

    def __init__(
        self,
        index: int,
        size: tuple[int, int] = (640, 360),
        *,
        module: Any = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._size, self._clock, self._number = size, clock, 0
        self._camera = _started(module or _module(), index, size)
        self._start_s = clock()

    def read(self) -> Frame | None:
        return self._frame(self._camera.capture_array("lores"))

    def close(self) -> None:
        self._camera.stop()
        self._camera.close()

    def _frame(self, planes: NDArray[np.uint8]) -> Frame:
        width, height = self._size
        cut = np.ascontiguousarray(planes[: height * 3 // 2, :width])
        frame = need("av").VideoFrame.from_ndarray(cut, format="yuv420p")
        self._number += 1
        return Frame(number=self._number - 1, time_s=self._clock() - self._start_s, planes=frame)


def _module() -> Any:
    try:
        return need("picamera2")
    except MissingDependency as exc:
        raise MissingDependency(f"a csi source needs picamera2: {exc.message}", HINT) from exc


def _started(module: Any, index: int, size: tuple[int, int]) -> Any:
    try:
        camera = module.Picamera2(index)
        camera.configure(camera.create_video_configuration(lores={"size": size, "format": "YUV420"}))
        camera.start()
    except (RuntimeError, IndexError, OSError) as exc:
        raise DeviceError(
            f"camera {index} on the ribbon cable does not start: {exc}", "rpicam-hello --list-cameras; is the cable seated?"
        ) from exc
    return camera
