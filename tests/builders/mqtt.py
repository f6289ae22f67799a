"""MQTT 3.1.1 by hand: a listener as home automation has one."""

from __future__ import annotations

import socket
import struct


class Mqtt:
    """MQTT 3.1.1, as much of it as hearing takes: connect, subscribe, the next message."""

    def __init__(self, port: int, password: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=15)
        body = _text("MQTT") + bytes([4, 0b1100_0010]) + struct.pack(">H", 60) + b"".join(map(_text, ("home", "any", password)))
        self._send(0x10, body)
        self.code = self._packet()[1][1]

    def subscribe(self, topic: str) -> int:
        self._send(0x82, struct.pack(">H", 1) + _text(topic) + b"\0")
        return self._packet()[1][2]

    def publish(self, topic: str, data: bytes) -> None:
        self._send(0x30, _text(topic) + data)

    def message(self) -> tuple[str, bytes]:
        _, body = self._packet()
        (size,) = struct.unpack(">H", body[:2])
        return body[2 : 2 + size].decode(), body[2 + size :]

    def close(self) -> None:
        self._socket.close()

    def _send(self, kind: int, body: bytes) -> None:
        length, left = b"", len(body)
        while left or not length:
            length += bytes([left % 128 | (0x80 if left > 127 else 0)])
            left //= 128
        self._socket.sendall(bytes([kind]) + length + body)

    def _packet(self) -> tuple[int, bytes]:
        kind, size, shift = self._read(1)[0], 0, 0
        while True:
            byte = self._read(1)[0]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return kind, self._read(size)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the server hung up")
            data += piece
        return data


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()
