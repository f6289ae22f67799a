"""A network camera of the simplest kind: JPEGs over HTTP, one after the other, then the connection ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV (extra vision) is not installed")


@contextmanager
def mjpeg(jpegs: Sequence[bytes]) -> Iterator[str]:
    """The address of a camera that sends them to everybody who asks."""

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for jpeg in jpegs:
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
                self.wfile.write(head + jpeg + b"\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://user:hunter2@127.0.0.1:{server.server_port}/stream"
    finally:
        server.shutdown()
        server.server_close()


def jpeg_of(image: np.ndarray) -> bytes:
    """A picture ([h, w, 3] uint8 RGB, even sides) as a camera sends it."""
    codec = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width = image.shape[:2]
    codec.pix_fmt, codec.time_base = "yuvj420p", Fraction(1, 10)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(format="yuvj420p")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode()])
