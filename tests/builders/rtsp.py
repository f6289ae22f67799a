"""A small RTSP server on loopback: H.264 in RTP over the same TCP connection, from a recording that is played again and again.

It can do what cameras do wrong: fall silent without closing, break off, be gone and come back at the same port, change its
picture's size in mid-stream, and send damaged packets.
"""

from __future__ import annotations

import base64
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

PAYLOAD, CLOCK, MOST = 96, 90_000, 1200
Units = list[bytes]


def encoded(size: tuple[int, int], frames: int = 20, *, rate: int = 10) -> list[Units]:
    """A bright block that walks over a dark picture of (width, height), as H.264: each frame's NAL units."""
    import av

    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = *size, "yuv420p"
    codec.time_base, codec.framerate, codec.gop_size = Fraction(1, rate), Fraction(rate, 1), 5
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "repeat-headers": "1"}
    packets: list[Any] = []
    for number in range(frames):
        image = np.full((size[1], size[0], 3), 40, np.uint8)
        left = (number * 6) % (size[0] - 20)
        image[size[1] // 4 : size[1] * 3 // 4, left : left + 20] = 220
        frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += codec.encode(frame)
    packets += codec.encode(None)
    return [units(bytes(packet)) for packet in packets if packet.size]


def units(stream: bytes) -> Units:
    """The NAL units of a piece of an Annex B stream."""
    pieces = stream.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01")
    return [piece for piece in pieces if piece]


@dataclass(slots=True)
class RtspServer:
    """Plays `scenes` one after the other, each to its end, and then from the first again."""

    scenes: Sequence[list[Units]]
    rate: float = 20.0
    port: int = 0
    silent: threading.Event = field(default_factory=threading.Event)
    damaged: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    _listener: socket.socket | None = None
    _open: list[socket.socket] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"rtsp://user:hunter2@127.0.0.1:{self.port}/live"

    def start(self) -> None:
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener, self._stopped), daemon=True).start()

    def kill(self) -> None:
        """Be gone at once, with every connection."""
        self._stopped.set()
        assert self._listener is not None
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def _accept(self, listener: socket.socket, stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection, stopped), daemon=True).start()

    def _serve(self, connection: socket.socket, stopped: threading.Event) -> None:
        with suppress(OSError, ValueError):
            reads = connection.makefile("rb")
            while (request := _request(reads)) is not None:
                method, sequence = request
                connection.sendall(self._answer(method, sequence))
                if method == "PLAY":
                    self._play(connection, stopped)
                    return

    def _answer(self, method: str, sequence: str) -> bytes:
        head = f"RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n"
        if method == "OPTIONS":
            return f"{head}Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n".encode()
        if method == "DESCRIBE":
            body = self._description()
            return f"{head}Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        if method == "SETUP":
            return f"{head}Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n\r\n".encode()
        return f"{head}Session: 1\r\n\r\n".encode()

    def _description(self) -> str:
        sets = [unit for unit in self.scenes[0][0] if unit[0] & 31 in (7, 8)]
        given = ",".join(base64.b64encode(unit).decode() for unit in sets)
        lines = ("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=test", "t=0 0", f"m=video 0 RTP/AVP {PAYLOAD}", "a=control:track")
        more = (f"a=rtpmap:{PAYLOAD} H264/{CLOCK}", f"a=fmtp:{PAYLOAD} packetization-mode=1;sprop-parameter-sets={given}")
        return "".join(f"{line}\r\n" for line in (*lines, *more))

    def _play(self, connection: socket.socket, stopped: threading.Event) -> None:
        sequence, number = 0, 0
        while not stopped.is_set():
            for scene in self.scenes:
                for frame in scene:
                    if stopped.wait(1 / self.rate):
                        return
                    while self.silent.is_set() and not stopped.is_set():
                        stopped.wait(0.02)
                    stamp, number = int(number * CLOCK / self.rate), number + 1
                    for payload, last in _payloads(frame):
                        sent = _damaged(payload) if self.damaged.is_set() else payload
                        connection.sendall(_packet(sent, sequence, stamp, last))
                        sequence = (sequence + 1) % 65536


def _request(reads: Any) -> tuple[str, str] | None:
    """The method and number of the next request."""
    lines = []
    while (line := reads.readline()) not in (b"", b"\r\n"):
        lines.append(line.decode("latin-1").strip())
    if not lines:
        return None
    sequence = next((line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("cseq")), "0")
    return lines[0].split()[0], sequence


def _payloads(frame: Units) -> Iterator[tuple[bytes, bool]]:
    """RTP payloads of a frame, and which is its last: whole units, or pieces of large ones (FU-A)."""
    for index, unit in enumerate(frame):
        final = index == len(frame) - 1
        if len(unit) <= MOST:
            yield unit, final
            continue
        pieces = [unit[at : at + MOST] for at in range(1, len(unit), MOST)]
        for place, piece in enumerate(pieces):
            begins, ends = place == 0, place == len(pieces) - 1
            head = bytes([unit[0] & 0xE0 | 28, begins << 7 | ends << 6 | unit[0] & 31])
            yield head + piece, final and ends


def _packet(payload: bytes, sequence: int, stamp: int, last: bool) -> bytes:
    rtp = struct.pack("!BBHII", 0x80, last << 7 | PAYLOAD, sequence, stamp % 2**32, 0x1234) + payload
    return struct.pack("!BBH", 0x24, 0, len(rtp)) + rtp


def _damaged(payload: bytes) -> bytes:
    """The payload with its slices' insides overwritten; parameter sets stay whole."""
    kept = 2 if payload[0] & 31 == 28 else 1
    return payload if payload[0] & 31 in (7, 8) else payload[:kept] + bytes(len(payload) - kept)


@contextmanager
def rtsp(*sizes: tuple[int, int], rate: float = 20.0) -> Iterator[RtspServer]:
    """A server that plays a scene of each size, until the block ends."""
    server = RtspServer([encoded(size) for size in sizes or ((160, 120),)], rate)
    server.start()
    try:
        yield server
    finally:
        server.kill()
