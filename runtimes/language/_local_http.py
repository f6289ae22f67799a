"""HTTP to a server of ours on a socket file: questions with one answer, and streams that can be interrupted at any time."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgekit.runtimes.text import EngineLost

LOOK_S = 0.02
"""How often a stream looks whether it should end."""
LONGEST_LINE = 1 << 24


class Refused(Exception):
    """The server answered with an error; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


class Local:
    """The server behind one socket file."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, path: str, body: Mapping[str, Any]) -> Any:
        """The whole answer. Raises `Refused`, `EngineLost`."""
        connection, response = self.post(path, body)
        try:
            return json.loads(response.read())
        finally:
            connection.close()

    def stream(self, path: str, body: Mapping[str, Any], cancel: threading.Event, ends_at: float) -> Stream:
        """The events of an answer, until it ends, `cancel` is set, or the monotonic clock shows `ends_at`."""
        return Stream(self, path, body, cancel, ends_at)

    def post(self, path: str, body: Mapping[str, Any]) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """An answer that has begun. Raises as `ask` does."""
        connection = _Connection(self._path)
        try:
            connection.request("POST", path, json.dumps(body), self._headers)
            response = connection.getresponse()
            if response.status != 200:
                raise Refused(_message(response.read()), response.status)
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise EngineLost(f"the engine's server does not answer: {exc}") from exc
        except Refused:
            connection.close()
            raise
        return connection, response


class Stream:
    """The events of one answer, each a decoded `data:` line. `interrupted` is whether the end came from this side."""

    def __init__(self, local: Local, path: str, body: Mapping[str, Any], cancel: threading.Event, ends_at: float) -> None:
        self._asked = (local, path, body)
        self._cancel = cancel
        self._ends_at = ends_at
        self._over = threading.Event()
        self.interrupted = False

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        local, path, body = self._asked
        connection, response = local.post(path, body)
        watcher = threading.Thread(target=self._watch, args=(connection.sock,), daemon=True)
        watcher.start()
        try:
            while line := self._line(response):
                if line.startswith(b"data: ") and line != b"data: [DONE]\n":
                    yield json.loads(line[6:])
        finally:
            self._over.set()
            connection.close()
            watcher.join()

    def _line(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.readline(LONGEST_LINE)
        except (OSError, http.client.HTTPException, ValueError) as exc:
            if self.interrupted:
                return b""
            raise EngineLost(f"the engine's server broke off: {exc}") from exc

    def _watch(self, connection: socket.socket) -> None:
        """Hang up when the answer is no longer wanted: the server then stops evaluating, in mid-prompt too."""
        while not self._over.wait(LOOK_S):
            if self._cancel.is_set() or time.monotonic() >= self._ends_at:
                self.interrupted = True
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                return


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return data[:200].decode(errors="replace")
