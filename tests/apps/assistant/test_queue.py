"""One request at a time: the others wait, are told their place, and give it up when nobody waits for them any more."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

SECONDS_PER_WORD = "0.05"
LONG, SHORT = "word " * 1000, "short"


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., Any]) -> Iterator[Any]:
    """A server whose engine takes its time: LONG needs 50 s."""
    with serve(
        tmp_path_factory.mktemp("slow"), "--runtime", "parrot", "--artifact", SECONDS_PER_WORD, "--context", "20000"
    ) as one:
        yield one


def connect(server: Any) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)


def send(server: Any, text: str, *, stream: bool) -> socket.socket:
    """A request on its way; its answer is not read yet."""
    body = json.dumps({"stream": stream, "max_tokens": 10_000, "messages": [{"role": "user", "content": text}]}).encode()
    link = connect(server)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {urlsplit(server.url).netloc}\r\nauthorization: Bearer {server.token}\r\n"
    )
    link.sendall(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    return link


def until(link: socket.socket, wanted: bytes) -> bytes:
    """Read until that came."""
    seen = b""
    while wanted not in seen:
        piece = link.recv(4096)
        assert piece, seen
        seen += piece
    return seen


def get(server: Any, path: str) -> str:
    parts = urlsplit(server.url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        connection.request("GET", path, headers={"authorization": f"Bearer {server.token}"})
        return connection.getresponse().read().decode()


def recent(server: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(get(server, "/api/analytics"))["recent"]
    return found


def wait_inside(server: Any, count: int) -> None:
    """Until so many requests are inside."""
    for _ in range(2000):
        if f"edgekit_assistant_inside {count:.1f}" in get(server, "/metrics"):
            return
    raise AssertionError(get(server, "/metrics"))


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_hangs_up_ends_the_answer(slow: Any, stream: bool) -> None:
    before = len(recent(slow))
    with send(slow, LONG, stream=True) as other:
        until(other, b"word")
        with send(slow, LONG, stream=stream):
            wait_inside(slow, 2)
    wait_inside(slow, 0)
    ended = recent(slow)[: len(recent(slow)) - before]
    assert [one["outcome"] for one in ended].count("cancelled") == 2
    assert all(one["predicted_n"] < len(LONG) for one in ended)


def test_who_waits_is_told_the_place_and_then_answered(slow: Any) -> None:
    with send(slow, "word " * 20, stream=True) as first:
        until(first, b"word")
        with send(slow, SHORT, stream=True) as second:
            seen = until(second, b"[DONE]")
    assert b": queued, position 1" in seen
    assert b'"content": "short"' in seen
    assert b"x-queue-position: 1" in seen.lower()


def test_more_than_may_wait_are_refused_with_429(slow: Any) -> None:
    links = [send(slow, LONG, stream=True)]
    try:
        until(links[0], b"word")  # only then: of requests sent together any may be first inside, and would keep the others out
        links += [send(slow, LONG, stream=True) for _ in range(15)]
        for link in links[1:]:
            until(link, b": queued")
        with send(slow, SHORT, stream=False) as refused:
            seen = until(refused, b"rate_limit_exceeded")
        assert seen.startswith(b"HTTP/1.1 429")
    finally:
        for link in links:
            link.close()
        wait_inside(slow, 0)


def test_texts_to_embed_wait_at_the_same_door(slow: Any) -> None:
    links = [send(slow, LONG, stream=True)]
    try:
        until(links[0], b"word")
        links += [send(slow, LONG, stream=True) for _ in range(15)]
        for link in links[1:]:
            until(link, b": queued")
        parts = urlsplit(slow.url)
        with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
            connection.request("POST", "/v1/embeddings", b'{"input":"x"}', {"authorization": f"Bearer {slow.token}"})
            assert connection.getresponse().status == 429
    finally:
        for link in links:
            link.close()
        wait_inside(slow, 0)


def test_an_answer_that_takes_too_long_is_cut_off_and_says_so(slow: Any) -> None:
    parts = urlsplit(slow.url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        body = {"timeout_s": 0.5, "max_tokens": 10_000, "messages": [{"role": "user", "content": LONG}]}
        headers = {"authorization": f"Bearer {slow.token}"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = json.loads(connection.getresponse().read())
    assert answer["choices"][0]["finish_reason"] == "length"
    assert recent(slow)[0]["outcome"] == "deadline"
