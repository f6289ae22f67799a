"""A real server on loopback that speaks OpenAI's API, well and badly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from edgekit.core.errors import InputError, Unsupported
from edgekit.runtimes.language.opening import open_text
from edgekit.runtimes.text import (
    BadStream,
    Done,
    EngineLost,
    Message,
    Piece,
    RemoteRefused,
    Sampling,
    TextEvent,
    TextOptions,
    TextRequest,
    TextSession,
)

TIMINGS = {"cache_n": 3, "prompt_n": 4, "prompt_ms": 5.0, "predicted_n": 2, "predicted_ms": 7.0}


class Handler(BaseHTTPRequestHandler):
    """What is asked decides what is done: the last message is the name of a behaviour."""

    def do_GET(self) -> None:
        self._json({"data": [{"id": "first-model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        if self.path.endswith("/embeddings"):
            self._json({"data": [{"embedding": [3.0, 4.0]} for _ in body["input"]]})
            return
        wish = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, f"_{wish}")()

    def _say(self, *events: Any, end: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            line = event if isinstance(event, str) else f"data: {json.dumps(event)}"
            self.wfile.write(f"{line}\n\n".encode())
        if end:
            self.wfile.write(b"data: [DONE]\n\n")

    def _json(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _well(self) -> None:
        pieces = [{"choices": [{"delta": {"content": word}}]} for word in ("Hel", "lo")]
        last = {"choices": [{"delta": {}, "finish_reason": "length"}]}
        usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
        self._say(": a comment", *pieces, last, usage)

    def _timed(self) -> None:
        self._say({"choices": [{"text": "ok", "finish_reason": "stop"}], "timings": TIMINGS})

    def _nonsense(self) -> None:
        self._say("data: {not json")

    def _list(self) -> None:
        self._say([1, 2])

    def _deep(self) -> None:
        self._say("data: " + "[" * 100_000)

    def _deeply_refused(self) -> None:
        self.send_response(400)
        self.end_headers()
        self.wfile.write(b"[" * 100_000)

    def _miscounting(self) -> None:
        """Whatever stands where numbers belong."""
        said = {"choices": [{"delta": {"content": "ok \ud800"}, "finish_reason": "stop"}]}
        usage = {"prompt_tokens": "many", "completion_tokens": -1, "prompt_tokens_details": [7]}
        timings = {"prompt_ms": "x", "prompt_n": float("inf"), "predicted_n": True, "predicted_ms": 10**400}
        self._say(said, {"usage": [1]}, {"usage": usage}, {"timings": 3}, {"timings": timings})

    def _hangup(self) -> None:
        self._say({"choices": [{"delta": {"content": "half"}}]}, end=False)

    def _busy(self) -> None:
        self._json({"error": {"message": "overloaded"}}, 503)

    def _forbidden(self) -> None:
        self._json({"error": {"message": "wrong key"}}, 401)

    def _silent(self) -> None:
        self._say({"choices": [{"delta": {"content": "one"}}]}, end=False)
        self.wfile.flush()
        self.server.release.wait(20)  # type: ignore[attr-defined]

    def _mute(self) -> None:
        """Reads for long before it says a word."""
        self.server.read.set()  # type: ignore[attr-defined]
        self.server.release.wait(20)  # type: ignore[attr-defined]

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked, made.read, made.release = [], threading.Event(), threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.release.set()  # type: ignore[attr-defined]
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def session(server: ThreadingHTTPServer) -> TextSession:
    return open_text(f"http://127.0.0.1:{server.server_address[1]}/v1", options=TextOptions(key="secret"))


def ask(session: TextSession, wish: str, **more: Any) -> list[TextEvent]:
    return list(session.generate(TextRequest(messages=(Message(role="user", content=wish),), **more)))


def test_an_answer_comes_in_pieces_with_timings_from_what_was_seen(session: TextSession, server: ThreadingHTTPServer) -> None:
    events = ask(session, "well", sampling=Sampling(max_tokens=2, seed=4, stop=("x",)))
    assert [event.text for event in events if isinstance(event, Piece)] == ["Hel", "lo"]
    done = events[-1]
    assert isinstance(done, Done) and done.reason == "length"
    assert (done.timings.prompt_n, done.timings.predicted_n) == (7, 2)
    path, body, key = server.asked[-1]  # type: ignore[attr-defined]
    assert path == "/v1/chat/completions" and key == "Bearer secret"
    assert (body["model"], body["max_tokens"], body["seed"], body["stop"]) == ("first-model", 2, 4, ["x"])


def test_a_servers_own_timings_are_passed_on(session: TextSession) -> None:
    done = list(session.generate(TextRequest(prompt="timed")))[-1]
    assert isinstance(done, Done) and done.timings.as_json() | TIMINGS == done.timings.as_json()


def test_what_a_server_counts_wrong_costs_its_answer_nothing(session: TextSession) -> None:
    *said, done = ask(session, "miscounting")
    assert said == [Piece(text="ok ?")]
    assert isinstance(done, Done) and done.reason == "stop"
    counts = done.timings.as_json()
    assert (counts["cache_n"], counts["prompt_n"], counts["predicted_n"]) == (0, 0, 1)


def test_it_says_that_what_is_asked_leaves_the_machine(session: TextSession) -> None:
    assert session.model.remote and session.model.name == "first-model"


@pytest.mark.parametrize("wish", ["nonsense", "list", "deep"])
def test_a_stream_that_is_none_is_an_error_of_its_own(session: TextSession, wish: str) -> None:
    with pytest.raises(BadStream, match="no stream of this API"):
        ask(session, wish)


def test_a_server_that_hangs_up_in_mid_answer_is_lost_and_what_was_said_is_kept(session: TextSession) -> None:
    answer = session.generate(TextRequest(messages=(Message(role="user", content="hangup"),)))
    assert next(answer) == Piece(text="half")
    with pytest.raises(EngineLost, match="hung up in mid-answer"):
        next(answer)


def test_refusals_say_whether_asking_again_makes_sense(session: TextSession) -> None:
    with pytest.raises(RemoteRefused, match="overloaded") as busy:
        ask(session, "busy")
    with pytest.raises(RemoteRefused, match="wrong key") as forbidden:
        ask(session, "forbidden")
    assert (busy.value.status, busy.value.retryable) == (503, True)
    assert (forbidden.value.status, forbidden.value.retryable) == (401, False)


def test_a_refusal_that_is_no_json_is_quoted(session: TextSession) -> None:
    with pytest.raises(RemoteRefused, match=r"answered 400: \[\[\["):
        ask(session, "deeply_refused")


def test_nobody_there_is_worth_another_try() -> None:
    with pytest.raises(RemoteRefused, match="cannot be reached") as caught:
        open_text("http://127.0.0.1:9/v1")
    assert caught.value.retryable and caught.value.status == 0


def test_a_silent_server_is_left_when_the_deadline_is_over_or_the_caller_wants(session: TextSession) -> None:
    began = time.monotonic()
    events = ask(session, "silent", deadline_s=0.3)
    assert isinstance(events[-1], Done) and events[-1].reason == "deadline"
    cancel = threading.Event()
    answer = session.generate(TextRequest(messages=(Message(role="user", content="silent"),)), cancel=cancel)
    assert isinstance(next(answer), Piece)
    cancel.set()
    rest = list(answer)
    assert isinstance(rest[-1], Done) and rest[-1].reason == "cancelled"
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("reason", ["deadline", "cancelled"])
def test_a_server_that_has_not_begun_to_answer_is_left_as_well(
    session: TextSession, server: ThreadingHTTPServer, reason: str
) -> None:
    cancel = threading.Event()
    asked = TextRequest(messages=(Message(role="user", content="mute"),), deadline_s=0.3 if reason == "deadline" else None)
    if reason == "cancelled":
        threading.Thread(target=lambda: server.read.wait(20) and cancel.set()).start()  # type: ignore[attr-defined]
    (done,) = session.generate(asked, cancel=cancel)
    assert isinstance(done, Done) and done.reason == reason
    assert not server.release.is_set()  # type: ignore[attr-defined]


def test_embeddings_are_rows_of_length_one(session: TextSession) -> None:
    assert np.allclose(session.embed(["a", "b"]), [[0.6, 0.8]] * 2)


def test_what_the_api_cannot_tell_is_unsupported(session: TextSession) -> None:
    with pytest.raises(Unsupported, match="does not say how it splits"):
        session.tokenize("x")


def test_a_key_is_in_no_text_of_the_options() -> None:
    assert "secret" not in repr(TextOptions(key="secret"))


@pytest.mark.parametrize("key", ["secret\nHost: elsewhere", "secr\u00e9t", "secret\0"])
def test_a_key_that_no_header_takes_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(InputError, match="characters that no key has") as caught:
        open_text("http://127.0.0.1:9/v1", options=TextOptions(key=key))
    assert "secr" not in caught.value.message + caught.value.hint


def test_the_end_of_the_line_that_a_key_was_read_from_is_not_part_of_it(server: ThreadingHTTPServer) -> None:
    address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    ask(open_text(address, options=TextOptions(key="secret\n")), "well")
    assert server.asked[-1][2] == "Bearer secret"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "address", ["ftp://host/v1", "http://host:99999/v1", "http://host:x/v1", "http://[::1/v1", "http:///v1"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="not the address of an API"):
        open_text(address, engine="openai_url")
