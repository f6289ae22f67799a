"""The stream of a model's server: what comes together is read together, whatever the pieces it is cut into on the way."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterable, Iterator

import pytest

from edgekit.runtimes.language._http import Server, Stream, Unreachable

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
ONE, TWO = b'data: {"n": 1}\n\n', b'data: {"n": 2}\n\n'


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def _stream(listener: socket.socket, sent: Iterable[bytes]) -> Stream:
    """Of a server that sends these, one after another, and hangs up."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            asked = b""
            while not asked.endswith(b"{}"):  # hanging up on what was not read would be no end but a reset
                asked += connection.recv(1 << 16)
            for data in sent:
                connection.sendall(data)

    threading.Thread(target=answer, daemon=True).start()
    port = listener.getsockname()[1]
    server = Server(lambda: http.client.HTTPConnection("127.0.0.1", port), "")
    return server.stream("/", {}, threading.Event(), float("inf"))


def test_events_that_are_there_at_once_are_one_batch(listener: socket.socket) -> None:
    stream = _stream(listener, [HEAD + b"\r\n" + ONE + TWO])
    assert list(stream.batches()) == [[b'{"n": 1}', b'{"n": 2}']]


@pytest.mark.parametrize("cut", range(1, len(ONE + TWO), 5))
def test_an_event_may_be_cut_anywhere(listener: socket.socket, cut: int) -> None:
    data = ONE + TWO
    chunks = [_chunk(data[:cut]), _chunk(data[cut:]), _chunk(b"data: [DONE]\n\n"), b"0\r\n\r\n"]
    stream = _stream(listener, [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *chunks])
    assert list(stream) == [{"n": 1}, {"n": 2}]
    assert stream.finished and not stream.interrupted


def test_a_last_event_without_its_end_counts(listener: socket.socket) -> None:
    assert list(_stream(listener, [HEAD + b"\r\n", ONE, TWO.strip()])) == [{"n": 1}, {"n": 2}]


def test_events_before_one_that_is_no_json_are_told(listener: socket.socket) -> None:
    found = iter(_stream(listener, [HEAD + b"\r\n" + ONE + b"data: {not json\n\n"]))
    assert next(found) == {"n": 1}
    with pytest.raises(json.JSONDecodeError):
        next(found)


def test_an_answer_that_breaks_off_in_a_chunk_is_no_end(listener: socket.socket) -> None:
    stream = _stream(listener, [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + _chunk(ONE) + b"ff\r\ndata: "])
    with pytest.raises(Unreachable):
        list(stream)


@pytest.mark.parametrize("chunked", [True, False])
def test_an_event_is_told_before_the_next_is_there(listener: socket.socket, chunked: bool) -> None:
    heard = threading.Event()

    def later() -> Iterator[bytes]:
        yield HEAD + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"\r\n")
        yield _chunk(ONE) if chunked else ONE
        assert heard.wait(30), "the first event was held back until the second"
        yield _chunk(TWO) + b"0\r\n\r\n" if chunked else TWO

    found = iter(_stream(listener, later()))
    assert next(found) == {"n": 1}
    assert not heard.is_set()
    heard.set()
    assert list(found) == [{"n": 2}]
