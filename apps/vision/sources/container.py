"""Recordings, network streams and V4L2 cameras, all through FFmpeg's libraries (PyAV). Decoding runs outside Python's lock."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from time import monotonic
from typing import Any

from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.sources.address import Address
from edgekit.apps.vision.sources.base import PacketTap, SourceLost
from edgekit.apps.vision.stages import Stages
from edgekit.core.errors import DeviceError, InputError
from edgekit.core.optional import need

FILE_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,gif,apng,h264,hevc,mjpeg,ogg,asf,m4v,ivf,wtv,nut,dv,mpegvideo"
)
"""Containers that hold their pictures themselves: playlists and scripts, which name other files and addresses, are not among them."""
STREAM_FORMATS = f"{FILE_FORMATS},rtsp,mpjpeg,sdp"
STREAM_PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto"
OPEN_S, READ_S = 10.0, 5.0
CORRUPT_LIMIT = 250
"""Packets in a row that do not decode, after which the source counts as lost."""


class ContainerCapture:
    """An opened container. `corrupt` counts packets that did not decode and were passed over."""

    def __init__(
        self,
        address: Address,
        *,
        tap: PacketTap | None = None,
        threads: int = 1,
        clock: Callable[[], float] = monotonic,
        read_s: float = READ_S,
        stages: Stages | None = None,
    ) -> None:
        self._av = need("av")
        self._address, self._tap, self._clock = address, tap, clock
        self._timed: Callable[[], AbstractContextManager[None]] = (
            nullcontext if stages is None else partial(stages.timed, "decode")
        )
        self._container = _opened(self._av, address, read_s)
        if not self._container.streams.video:
            self._container.close()
            raise InputError(f"{address.shown!r} holds no video", "is it the right file or stream?")
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = threads
        self._stream.thread_type = "SLICE" if address.live else "AUTO"
        self._number, self._start_s = 0, None if not address.live else clock()
        self.corrupt, self._corrupt_run = 0, 0
        if tap is not None:
            tap.begin(self._stream)
        self._frames = self._decoded()

    def read(self) -> Frame | None:
        """The next frame. Raises `SourceLost` when the connection breaks or its packets no longer decode."""
        return next(self._frames, None)

    def close(self) -> None:
        self._frames.close()
        self._container.close()

    def _decoded(self) -> Generator[Frame, None, None]:
        for packet in self._packets():
            for planes in self._unpacked(packet):
                yield self._frame(planes)

    def _packets(self) -> Iterator[Any]:
        """Every packet of the stream; at the end an empty one, which empties the decoder."""
        try:
            for packet in self._container.demux(self._stream):
                if self._tap is not None and packet.size:
                    self._tap.packet(packet)
                yield packet
        except (self._av.error.FFmpegError, OSError) as exc:
            raise SourceLost(f"{self._address.shown!r} broke off: {reason(exc)}") from exc
        if self._address.live:
            raise SourceLost(f"{self._address.shown!r} was closed by the other side")

    def _unpacked(self, packet: Any) -> list[Any]:
        """The frames of a packet; none, and a count, when it is damaged."""
        try:
            with self._timed():
                frames = list(packet.decode())
        except (self._av.error.FFmpegError, OSError) as exc:
            self.corrupt += 1
            self._corrupt_run += 1
            if self._corrupt_run >= CORRUPT_LIMIT:
                raise SourceLost(f"{self._address.shown!r}: {CORRUPT_LIMIT} packets in a row do not decode") from exc
            return []
        self._corrupt_run = 0
        return frames

    def _frame(self, planes: Any) -> Frame:
        time_s = self._time(planes)
        frame = Frame(number=self._number, time_s=time_s, planes=planes, key=bool(planes.key_frame))
        self._number += 1
        return frame

    def _time(self, planes: Any) -> float:
        """In a recording its own time since the first frame, else seconds since the source was opened, by our clock."""
        if self._address.live:
            return self._clock() - (self._start_s or 0.0)
        rate = float(self._stream.average_rate or 25)
        found = float(planes.time) if planes.time is not None else self._number / rate
        self._start_s = found if self._start_s is None else self._start_s
        return found - self._start_s


def _opened(av: Any, address: Address, read_s: float) -> Any:
    """The container, opened with only the protocols and formats that this kind of source may use."""
    try:
        return av.open(address.target, **arguments(address, read_s))
    except (av.error.FFmpegError, OSError, ValueError) as exc:
        raise _refusal(address, reason(exc)) from None  # the cause quotes the address, password and all


def arguments(address: Address, read_s: float = READ_S) -> dict[str, Any]:
    """What `av.open` is told: pure, so that a test can read it."""
    if address.kind == "v4l2":
        return {"format": "v4l2", "options": {"input_format": "yuyv422"}, "timeout": (OPEN_S, read_s)}
    if address.kind == "recording":
        return {"options": {"protocol_whitelist": "file", "format_whitelist": FILE_FORMATS}}
    options = {"protocol_whitelist": STREAM_PROTOCOLS, "format_whitelist": STREAM_FORMATS, "fflags": "nobuffer"}
    if address.target.lower().startswith("rtsp"):
        options["rtsp_transport"] = "tcp"
    return {"options": options, "timeout": (OPEN_S, read_s)}


def _refusal(address: Address, said: str) -> Exception:
    if address.kind == "stream":
        return SourceLost(f"{address.shown!r} does not open: {said}", "is the camera on, and are address and password right?")
    if address.kind == "v4l2":
        return DeviceError(f"no camera at {address.target!r}: {said}", "ls /dev/video*; are you in the group 'video'?")
    return InputError(f"{address.shown!r} is not a video: {said}", "does it play elsewhere?")


def reason(exc: BaseException) -> str:
    """What the operating system or FFmpeg said, without the address it adds."""
    said = getattr(exc, "strerror", None) or type(exc).__name__
    return str(said)
