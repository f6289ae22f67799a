"""Packets made here, for cameras whose own stream may not be kept, and for those that send no encoded one: pictures are encoded as
they may be seen, and the recorder takes these packets for the camera's. What was masked is in none of them."""

from __future__ import annotations

import logging
from fractions import Fraction
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.sources.base import PacketTap
from edgekit.core.errors import MissingDependency
from edgekit.core.optional import need

log = logging.getLogger(__name__)
CODECS = ("libx264", "libopenh264", "mpeg4")
"""Best first: browsers play H.264."""
OPTIONS = {"libx264": {"preset": "ultrafast", "tune": "zerolatency", "crf": "23", "bf": "0"}}
TICKS = Fraction(1, 1000)
KEY_EVERY_S = 1.0


class Encoder:
    """Encodes pictures into `tap`. For one thread."""

    def __init__(self, tap: PacketTap, rate: float) -> None:
        self._tap, self._rate = tap, rate
        self._holder: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._last_ticks = -1

    def add(self, picture: NDArray[np.uint8], time_s: float) -> None:
        """The next picture, [h, w, 3] uint8 RGB; one of another size, or of an earlier time, begins a stream anew."""
        height, width = (edge // 2 * 2 for edge in picture.shape[:2])
        ticks = round(time_s / TICKS)
        if self._stream is None or (height, width) != self._size or ticks <= self._last_ticks:
            self._begin(height, width)
        frame = (
            need("av")
            .VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), "rgb24")
            .reformat(format="yuv420p")
        )
        frame.pts, frame.time_base = ticks, TICKS
        self._last_ticks = ticks
        for packet in self._stream.encode(frame):
            self._tap.packet(packet)

    def _begin(self, height: int, width: int) -> None:
        codec = chosen()
        self._holder = need("av").open(
            BytesIO(), "w", format="matroska"
        )  # gives the stream a global header; nothing is written
        stream = self._holder.add_stream(codec, rate=max(round(self._rate), 1), options=OPTIONS.get(codec, {}))
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.time_base = stream.codec_context.time_base = TICKS
        stream.codec_context.gop_size = max(round(self._rate * KEY_EVERY_S), 1)
        stream.codec_context.thread_count = 1
        stream.codec_context.open()
        self._stream, self._size = stream, (height, width)
        self._tap.begin(stream)


def chosen() -> str:
    """The best encoder that this PyAV has. Raises `MissingDependency`."""
    av = need("av")
    for name in CODECS:
        try:
            av.codec.Codec(name, "w")
        except (ValueError, av.error.FFmpegError):
            continue
        return name
    raise MissingDependency("PyAV has none of the encoders " + ", ".join(CODECS), "pip install --upgrade av")
