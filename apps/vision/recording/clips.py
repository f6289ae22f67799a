"""Clips with a pre-roll, out of the encoded stream: packets are kept and written as they came, nothing is encoded again.

Files are fragmented MP4: each fragment is whole once written, so that a killed process leaves a clip that plays up to its last
fragment. One thread (the capture's) brings packets; `start` and `stop` may be called from any.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

from edgekit.apps.vision.watching.watchdog import Watchdog
from edgekit.core.optional import need

log = logging.getLogger(__name__)
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
RING_BYTES = 64 << 20
"""A stream of 8 Mbit/s for a minute; a ring never holds more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """One encoded packet: its bytes and times, in the stream's own time base."""

    data: bytes
    pts: int | None
    dts: int | None
    key: bool
    time_s: float


class ClipRecorder:
    """Keeps the last `pre_roll_s` seconds of packets, from a key frame on, and writes clips that begin with them."""

    def __init__(self, pre_roll_s: float = 5.0, ring_bytes: int = RING_BYTES, *, watchdog: Watchdog | None = None) -> None:
        self._pre_roll_s, self._ring_bytes = pre_roll_s, ring_bytes
        self._watchdog = watchdog or Watchdog("recorder", float("inf"))
        self._ring: deque[_Kept] = deque()
        self._held_bytes = 0
        self._parameters: _Parameters | None = None
        self._clip: _Clip | None = None
        self._lock = Lock()
        self.failed = ""
        """Why the last clip could not be written on, if so."""

    def begin(self, stream: Any) -> None:
        """A stream was opened; what was kept of the one before does not go with it."""
        parameters = _Parameters(stream)
        with self._lock:
            self._end()
            self._parameters, self._held_bytes = parameters, 0
            self._ring.clear()

    def packet(self, packet: Any) -> None:
        """The next packet of the stream."""
        time_s = float((packet.dts if packet.dts is not None else packet.pts or 0) * packet.time_base)
        kept = _Kept(data=bytes(packet), pts=packet.pts, dts=packet.dts, key=bool(packet.is_keyframe), time_s=time_s)
        with self._lock:
            self._ring.append(kept)
            self._held_bytes += len(kept.data)
            self._trim()
            self._write(kept)

    def start(self, path: Path) -> bool:
        """Begin a clip with what is kept; false where there is nothing to write yet, or a clip is under way."""
        with self._lock:
            if self._parameters is None or self._clip is not None or not self._ring:
                return False
            self.failed = ""
            try:
                with self._watchdog.step():
                    self._clip = _Clip(path, self._parameters)
            except Exception as exc:  # a full or read-only disk; PyAV's errors and the system's have no common parent
                self._give_up(exc)
                return False
            for kept in self._ring:
                self._write(kept)
            return self._clip is not None

    @property
    def held_s(self) -> float:
        """How many seconds before now a clip would begin that is started now."""
        with self._lock:
            first = next((kept.time_s for kept in self._ring if kept.key), None)
            return 0.0 if first is None else max(self._ring[-1].time_s - first, 0.0)

    def stop(self) -> None:
        """End the clip, if one is under way."""
        with self._lock:
            self._end()

    def _trim(self) -> None:
        """Drop whole groups of pictures from the front while what is left still covers the pre-roll, or the ring is too large."""
        while len(self._ring) > 1 and (self._covered_without_first() or self._held_bytes > self._ring_bytes):
            self._held_bytes -= len(self._ring.popleft().data)
            while self._ring and not self._ring[0].key:
                self._held_bytes -= len(self._ring.popleft().data)

    def _covered_without_first(self) -> bool:
        newest = self._ring[-1].time_s
        following = next((kept for index, kept in enumerate(self._ring) if index and kept.key), None)
        return following is not None and newest - following.time_s >= self._pre_roll_s

    def _write(self, kept: _Kept) -> None:
        if self._clip is None:
            return
        try:
            with self._watchdog.step():
                self._clip.add(kept)
        except Exception as exc:  # as in `start`: the camera goes on without its clip
            self._give_up(exc)

    def _give_up(self, exc: Exception) -> None:
        self.failed = getattr(exc, "strerror", None) or type(exc).__name__
        log.error("a clip could not be written: %s", self.failed)
        self._end()

    def _end(self) -> None:
        clip, self._clip = self._clip, None
        if clip is not None:
            with self._watchdog.step():
                clip.close()


class _Parameters:
    """A copy of what a clip must know of the stream: the stream itself is gone once its source is closed, and a clip begun then
    would read freed memory."""

    def __init__(self, stream: Any) -> None:
        self._holder = need("av").open(BytesIO(), "w", format="matroska")  # owns the copy; nothing is ever written to it
        self.stream = _copied(self._holder, stream)
        self.time_base = stream.time_base


def _copied(container: Any, stream: Any) -> Any:
    """A stream of the container's like `stream`; PyAV leaves out an encoder's header, without which no player can begin."""
    copy = container.add_stream_from_template(stream)
    if copy.codec_context.extradata is None:
        copy.codec_context.extradata = stream.codec_context.extradata
    return copy


class _Clip:
    """One file being written; its times begin at 0."""

    def __init__(self, path: Path, parameters: _Parameters) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = need("av").open(str(path), "w", format="mp4", options=FRAGMENTED)
        self._stream = _copied(self._container, parameters.stream)
        self._time_base = parameters.time_base
        self._first: int | None = None
        self._last_dts: int | None = None

    def add(self, kept: _Kept) -> None:
        if self._first is None:
            if not kept.key:
                return
            self._first = kept.dts if kept.dts is not None else kept.pts or 0
        packet = need("av").Packet(kept.data)
        packet.stream, packet.time_base, packet.is_keyframe = self._stream, self._time_base, kept.key
        dts = (kept.dts if kept.dts is not None else kept.pts or 0) - self._first
        packet.dts = dts if self._last_dts is None else max(dts, self._last_dts + 1)
        packet.pts = max((kept.pts if kept.pts is not None else kept.dts or 0) - self._first, packet.dts)
        self._last_dts = packet.dts
        self._container.mux(packet)

    def close(self) -> None:
        try:
            self._container.close()
        except Exception as exc:  # the last fragment did not fit on the disk; those before it are whole
            log.error("the end of a clip could not be written: %s", getattr(exc, "strerror", None) or type(exc).__name__)
