"""Cameras of a Jetson through GStreamer: the ISP and the hardware decoder scale, only a small picture reaches Python."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np

from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.sources.base import SourceLost
from edgekit.core.errors import DeviceError, MissingDependency, Unsupported
from edgekit.core.optional import need

HINT = "sudo apt install python3-gi gir1.2-gst-plugins-base-1.0, and a virtual environment made with --system-site-packages"
SINK = "appsink name=frames max-buffers=1 drop=true sync=false"
READ_S = 5.0


def csi_pipeline(sensor: int, width: int, height: int, rate: int = 30) -> str:
    """The pipeline for sensor `sensor` on the ribbon cable of a Jetson."""
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM),framerate={rate}/1 ! nvvidconv ! "
        f"video/x-raw,format=I420,width={width},height={height} ! {SINK}"
    )


def rtsp_pipeline(codec: str, width: int, height: int) -> str:
    """The pipeline for an RTSP stream through the hardware decoder; its address is set on the element `source`, not in this text.

    Raises `Unsupported` for a codec that the decoder does not take.
    """
    if codec not in ("h264", "h265"):
        raise Unsupported(f"nvv4l2decoder is used for h264 and h265, not {codec!r}", "choose another stream of the camera")
    return (
        f"rtspsrc name=source latency=100 protocols=tcp ! rtp{codec}depay ! {codec}parse ! nvv4l2decoder ! nvvidconv ! "
        f"video/x-raw,format=I420,width={width},height={height} ! {SINK}"
    )


class GStreamerCapture:
    """A running pipeline whose last element is `SINK`. `address` is set on its element `source`, where it has one."""

    def __init__(
        self, pipeline: str, size: tuple[int, int], *, address: str = "", clock: Callable[[], float] = monotonic
    ) -> None:
        self._gst = _gst()
        self._size, self._clock, self._number = size, clock, 0
        self._pipeline = _parsed(self._gst, pipeline)
        if address:
            self._pipeline.get_by_name("source").set_property("location", address)
        self._sink = self._pipeline.get_by_name("frames")
        self._pipeline.set_state(self._gst.State.PLAYING)
        self._start_s = clock()

    def read(self) -> Frame | None:
        sample = self._sink.emit("try-pull-sample", int(READ_S * self._gst.SECOND))
        if sample is None:
            raise SourceLost(f"the pipeline gave no frame for {READ_S:.0f} s")
        buffer = sample.get_buffer()
        data = buffer.extract_dup(0, buffer.get_size())
        self._number += 1
        planes = need("av").VideoFrame.from_ndarray(i420(data, *self._size), format="yuv420p")
        return Frame(number=self._number - 1, time_s=self._clock() - self._start_s, planes=planes)

    def close(self) -> None:
        self._pipeline.set_state(self._gst.State.NULL)


def i420(data: bytes, width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """GStreamer's I420 as [height * 3/2, width]: its rows are padded to a multiple of four bytes, PyAV's are not."""
    half_wide, half_tall = (width + 1) // 2, (height + 1) // 2
    luma_line, chroma_line = -(-width // 4) * 4, -(-half_wide // 4) * 4
    luma_bytes, chroma_bytes = luma_line * height, chroma_line * half_tall
    flat = np.frombuffer(data, np.uint8, luma_bytes + 2 * chroma_bytes)
    luma = flat[:luma_bytes].reshape(height, luma_line)[:, :width]
    chroma = flat[luma_bytes:].reshape(2, half_tall, chroma_line)[:, :, :half_wide]
    return np.concatenate([luma.ravel(), chroma.ravel()]).reshape(height * 3 // 2, width)


def _gst() -> Any:
    try:
        gi = need("gi")
        gi.require_version("Gst", "1.0")
        gst = need("gi.repository.Gst")
    except (MissingDependency, ValueError) as exc:
        raise MissingDependency(f"a Jetson's source needs GStreamer's Python binding: {exc}", HINT) from exc
    gst.init(None)
    return gst


def _parsed(gst: Any, pipeline: str) -> Any:
    try:
        return gst.parse_launch(pipeline)
    except Exception as exc:  # GLib.Error, a class that exists only where gi does
        raise DeviceError(
            f"GStreamer does not build the pipeline: {exc}",
            "gst-inspect-1.0 nvarguscamerasrc nvv4l2decoder; is this a Jetson with JetPack?",
        ) from exc
