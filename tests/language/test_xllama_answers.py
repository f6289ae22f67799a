"""Between the thread in which xllamacpp tells its tokens and the one that asked: what is told when, and how it stops."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edgekit.runtimes.language._http import Refused
from edgekit.runtimes.language._xllama_answers import Answers, Event

Tell = Callable[[bytes], bool]
"""What the package calls with each thing its server says; whether the server should stop."""


class Package:
    """The package's own call, saying what a test wants it to."""

    def __init__(self, says: Callable[[Tell], None]) -> None:
        self.says = says

    def handle_completions(self, _asked: bytes, tell: Tell) -> None:
        self.says(tell)


def _token(text: str, reason: str | None = None, **more: Any) -> bytes:
    return json.dumps({"choices": [{"text": text, "finish_reason": reason}], **more}, separators=(",", ":")).encode()


def _events(says: Callable[[Tell], None], cancel: threading.Event | None = None) -> Iterator[list[Event]]:
    return Answers(Package(says)).ask({}).events(cancel or threading.Event(), float("inf"))


def test_the_first_token_is_told_before_there_is_another() -> None:
    heard = threading.Event()

    def says(tell: Tell) -> None:
        tell(_token("a"))
        assert heard.wait(5)
        tell(_token("b", "stop"))

    coming = _events(says)
    assert [event.text for event in next(coming)] == ["a"]
    heard.set()
    assert [event.text for event in next(coming)] == ["b"]
    assert next(coming, None) is None


def test_tokens_that_follow_at_once_are_told_together_and_none_is_lost() -> None:
    def says(tell: Tell) -> None:
        for number in range(200):
            tell(_token(f"{number} "))
        tell(_token("", "length"))

    batches = list(_events(says))
    assert "".join(event.text for batch in batches for event in batch) == "".join(f"{number} " for number in range(200))
    assert len(batches) < 50
    assert [event.reason for batch in batches for event in batch if event.reason] == ["length"]


def test_the_last_event_is_not_waited_with_for_the_call_to_come_back() -> None:
    """Nor for more tokens to be told together with."""
    back = threading.Event()

    def says(tell: Tell) -> None:
        tell(_token("a"))
        tell(_token("", "stop"))
        back.wait(5)

    coming = _events(says)
    found = next(coming)
    while not found[-1].reason:
        found = next(coming)
    assert not back.is_set() and found[-1].reason == "stop"
    back.set()


def test_how_far_a_prompt_was_read_is_no_event_but_counts_for_an_answer_that_was_stopped() -> None:
    stop, goes_on = threading.Event(), threading.Event()

    def says(tell: Tell) -> None:
        tell(_token("", prompt_progress={"total": 40, "cache": 10, "processed": 10, "time_ms": 0}))
        tell(_token("", prompt_progress={"total": 40, "cache": 10, "processed": 40, "time_ms": 7}))
        tell(_token('"prompt_progress":{'))
        goes_on.wait(5)

    answer = Answers(Package(says)).ask({})
    coming = answer.events(stop, float("inf"))
    assert [event.text for event in next(coming)] == ['"prompt_progress":{']
    stop.set()
    assert list(coming) == []
    found = answer.so_far()
    assert (found.cache_n, found.prompt_n, found.predicted_n) == (10, 30, 1)
    assert found.prompt_ms >= 0 and found.predicted_ms >= 0
    goes_on.set()


def test_an_answer_that_is_no_longer_wanted_stops_at_the_next_thing_that_is_told() -> None:
    told: list[bool] = []
    ended = threading.Event()

    def says(tell: Tell) -> None:
        until = time.monotonic() + 5
        while not (told and told[-1]) and time.monotonic() < until:
            told.append(tell(_token("a")))
            time.sleep(0.001)
        ended.set()

    coming = _events(says)
    next(coming)
    coming.close()  # type: ignore[attr-defined]
    assert ended.wait(5) and told[0] is False and told[-1] is True


def test_a_refusal_and_a_failure_of_the_call_are_errors() -> None:
    def refuses(tell: Tell) -> None:
        tell(b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error","n_ctx":256}}')

    def fails(_tell: Tell) -> None:
        raise RuntimeError("parse error")

    with pytest.raises(Refused, match="too long") as found:
        list(_events(refuses))
    assert found.value.status == 400 and found.value.told["n_ctx"] == 256
    with pytest.raises(RuntimeError, match="parse error"):
        list(_events(fails))
