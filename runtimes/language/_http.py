"""HTTP to a model's server: questions with one answer, and streams that can be interrupted at any time."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

LOOK_S = 0.02
"""How often a stream looks whether it should end."""
LONGEST_LINE = 1 << 24
READ_BYTES = 1 << 16
LARGEST_BYTES = 1 << 28
END = b"[DONE]"


class Refused(Exception):
    """The server answered with an error; `status` is HTTP's, `told` what else its body says."""

    def __init__(self, message: str, status: int, told: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.told = told or {}


class Unreachable(Exception):
    """Nobody answers there, or whoever does hung up."""


class SocketFile(http.client.HTTPConnection):
    """A connection to a server that listens on a file."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


class Server:
    """A server, by how it is connected to, and the key it asks for."""

    def __init__(self, connect: Callable[[], http.client.HTTPConnection], key: str, *, silence_s: float | None = None) -> None:
        """`silence_s` is how long an answer may let wait for it; how long reaching the server may take is the connection's."""
        self._connect, self._silence_s = connect, silence_s
        authorization = {"Authorization": f"Bearer {key}"} if key else {}
        self._headers = {"Content-Type": "application/json", **authorization}

    def ask(self, path: str, body: Mapping[str, Any]) -> Any:
        """The whole answer. Raises `Refused`, `Unreachable`, and `ValueError` for what is no JSON."""
        connection, response = self.send("POST", path, body)
        return _whole(connection, response)

    def get(self, path: str) -> Any:
        """As `ask`, without a body."""
        connection, response = self.send("GET", path, None)
        return _whole(connection, response)

    def stream(self, path: str, body: Mapping[str, Any], cancel: threading.Event, ends_at: float) -> Stream:
        """The events of an answer, until it ends, `cancel` is set, or the monotonic clock shows `ends_at`."""
        return Stream(self, path, body, cancel, ends_at)

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """An answer that has begun. Raises as `ask` does."""
        connection = self.reached()
        return connection, self.begun(connection, method, path, body)

    def reached(self) -> http.client.HTTPConnection:
        """A connection over which nothing was asked yet. Raises `Unreachable`."""
        connection = self._connect()
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise Unreachable(str(exc) or type(exc).__name__) from exc
        connection.sock.settimeout(self._silence_s)
        # Of an answer that ends with its connection, http.client forgets the socket; whoever wants to hang up needs it.
        connection.line = connection.sock  # type: ignore[attr-defined]
        return connection

    def begun(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Mapping[str, Any] | None
    ) -> http.client.HTTPResponse:
        """The answer that begins on that connection, which is closed where there is none. Raises as `ask` does."""
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self._headers)
            response = connection.getresponse()
            if response.status != 200:
                raise _refused(response.read(LONGEST_LINE), response.status)
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise Unreachable(str(exc) or type(exc).__name__) from exc
        except Refused:
            connection.close()
            raise
        return response


class Stream:
    """The events of one answer, each a decoded `data:` line; `ValueError` for one that is no JSON, `Unreachable` when it breaks off.

    `interrupted`: the end came from this side. `finished`: the server said `[DONE]`.
    """

    def __init__(self, server: Server, path: str, body: Mapping[str, Any], cancel: threading.Event, ends_at: float) -> None:
        self._asked = (server, path, body)
        self._cancel = cancel
        self._ends_at = ends_at
        self._over = threading.Event()
        self.interrupted = False
        self.finished = False

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for batch in self.batches():
            yield from map(json.loads, batch)

    def batches(self) -> Iterator[list[bytes]]:
        """The same not decoded, those together that were there at once; the first are never waited with."""
        server = self._asked[0]
        connection = server.reached()
        line: socket.socket = connection.line  # type: ignore[attr-defined]
        watcher = threading.Thread(target=self._watch, args=(line,), daemon=True)
        watcher.start()
        try:
            response = self._begun(connection)
            rest = b""
            while response is not None and (more := self._read(response, line)):
                *lines, rest = (rest + more).split(b"\n")
                if len(rest) > LONGEST_LINE:
                    raise Unreachable(f"a line of more than {LONGEST_LINE} bytes")
                if said := self._said(lines):
                    yield said
            if not self.interrupted and (said := self._said([rest])):
                yield said
        finally:
            self._over.set()
            connection.close()
            watcher.join()

    def _begun(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse | None:
        """The answer; None where it was no longer wanted before it began: a server may take long to say its first word."""
        server, path, body = self._asked
        try:
            return server.begun(connection, "POST", path, body)
        except (Unreachable, ValueError):  # the latter of an encrypted connection that was hung up
            if self.interrupted:
                return None
            raise

    def _said(self, lines: Sequence[bytes]) -> list[bytes]:
        """What events say; the end is none."""
        said = [line[5:].strip() for line in lines if line.startswith(b"data:")]
        self.finished = self.finished or END in said
        return [data for data in said if data != END]

    def _read(self, response: http.client.HTTPResponse, line: socket.socket) -> bytes:
        """What has come, at least something; nothing at the end."""
        try:
            found = response.read1(READ_BYTES)
            while found and _more(response, line):
                found += response.read1(READ_BYTES)
            return found
        except (OSError, http.client.HTTPException, ValueError) as exc:
            if self.interrupted:
                return b""
            raise Unreachable(str(exc) or type(exc).__name__) from exc

    def _watch(self, connection: socket.socket) -> None:
        """Hang up when the answer is no longer wanted: the server then stops evaluating, in mid-prompt too."""
        while not self._over.wait(LOOK_S):
            if self._cancel.is_set() or time.monotonic() >= self._ends_at:
                self.interrupted = True
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                return


def _whole(connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Any:
    try:
        return json.loads(response.read(LARGEST_BYTES))
    except (OSError, http.client.HTTPException) as exc:
        raise Unreachable(str(exc) or type(exc).__name__) from exc
    finally:
        connection.close()


def _more(response: http.client.HTTPResponse, line: socket.socket) -> bool:
    """Whether more is there already; the end of a chunk, which is read with the next one, is nothing."""
    if response.isclosed():
        return False
    patience = line.gettimeout()
    line.settimeout(0)
    try:
        return bool(response.fp.peek(1).strip(b"\r\n"))
    except ssl.SSLWantReadError:
        return False
    finally:
        line.settimeout(patience)


def _refused(data: bytes, status: int) -> Refused:
    try:
        told = json.loads(data)["error"]
        return Refused(str(told["message"]), status, told)
    except (ValueError, KeyError, TypeError, RecursionError):
        return Refused(data[:200].decode(errors="replace"), status)
