"""The fallback is asked only when that was allowed and something failed; documents stay here; what is down is left alone."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from elsewhere import Elsewhere

from edgekit.apps.assistant.analytics import Log
from edgekit.apps.assistant.assistant import Answered, Assistant
from edgekit.apps.assistant.engine import Engine
from edgekit.apps.assistant.fallback import FAILURES, PAUSE_S, Breaker, Fallback, FallbackOptions, Trigger
from edgekit.apps.assistant.generation import Switched, Writer
from edgekit.apps.assistant.grounding.grams import GramEmbedder
from edgekit.apps.assistant.library import Library
from edgekit.core.errors import EdgekitError
from edgekit.runtimes.language.opening import open_text
from edgekit.runtimes.language.parrot import ParrotSession
from edgekit.runtimes.language.supervised import SupervisedSession
from edgekit.runtimes.text import (
    EngineLost,
    EngineRefused,
    Message,
    OutOfMemory,
    Piece,
    RemoteRefused,
    TextOptions,
    TextSession,
)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with closing(Elsewhere()) as server:
        yield server


def refusing(error: EdgekitError) -> Callable[[str, TextOptions], TextSession]:
    """An engine that does not load."""

    def opened(model: str, options: TextOptions) -> TextSession:
        raise error

    return opened


def fallback_to(url: str, waits: list[float] | None = None, **options: Any) -> Fallback:
    def wait(cancel: threading.Event, seconds: float) -> None:
        if waits is not None:
            waits.append(seconds)

    return Fallback(FallbackOptions(url=url, **options), lambda address, chosen: open_text(address, options=chosen), wait=wait)


def assistant(engine: Engine, fallback: Fallback | None, library: Library | None = None, log: Log | None = None) -> Assistant:
    return Assistant(Writer(engine, fallback), library, log)


def failing(error: EdgekitError | None = None) -> Engine:
    return Engine("m.gguf", TextOptions(), refusing(error or EngineRefused("it does not load")), name="m")


def last(made: Assistant, question: str, **options: Any) -> Answered:
    *_, answer = made.ask(question, **options)
    assert isinstance(answer, Answered)
    return answer


@pytest.fixture
def library(documents: Path, tmp_path: Path) -> Iterator[Library]:
    with closing(Library(documents, tmp_path / "index.sqlite", GramEmbedder())) as made:
        made.update()
        yield made


FAILED: list[tuple[EdgekitError, Trigger]] = [
    (EngineRefused("it does not load"), "refused"),
    (OutOfMemory("7 GB are needed, 4 GB are there"), "memory"),
    (EngineLost("it died"), "lost"),
]


@pytest.mark.parametrize(("error", "trigger"), FAILED)
def test_without_a_word_of_the_user_nobody_else_is_asked(error: EdgekitError, trigger: Trigger, elsewhere: Elsewhere) -> None:
    for fallback in (None, fallback_to(""), fallback_to(elsewhere.url, triggers=("deadline",))):
        with pytest.raises(type(error)):
            last(assistant(failing(error), fallback), "hello?")
    assert elsewhere.bodies == []


@pytest.mark.parametrize(("error", "trigger"), FAILED)
def test_an_answer_from_elsewhere_wears_a_badge(error: EdgekitError, trigger: Trigger, elsewhere: Elsewhere) -> None:
    answer = last(assistant(failing(error), fallback_to(elsewhere.url, key="k3y")), "hello?")
    assert answer.text == "From elsewhere [1]."
    badge = answer.as_json()["fallback"]
    assert badge == {"url": elsewhere.url, "model": "big", "reason": trigger, "documents_sent": False}
    assert answer.as_json()["source"] == "fallback"
    assert elsewhere.keys == ["Bearer k3y"]


def test_a_model_file_that_is_none_counts_as_refused(elsewhere: Elsewhere, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_text("<!doctype html>not found")
    engine = Engine(tmp_path / "m.gguf", TextOptions(), lambda model, options: open_text(model, options=options), name="m")
    assert last(assistant(engine, fallback_to(elsewhere.url)), "hello?").badge is not None


def test_a_late_answer_is_begun_again_elsewhere(elsewhere: Elsewhere) -> None:
    engine = Engine("", TextOptions(), lambda model, options: ParrotSession(pace_s=0.2), name="parrot")
    made = assistant(engine, fallback_to(elsewhere.url))
    events = list(made.ask("one two three", deadline_s=0.05))
    (switched,) = [event for event in events if isinstance(event, Switched)]
    assert switched.badge.reason == "deadline"
    after = events[events.index(switched) :]
    assert "".join(event.text for event in after if isinstance(event, Piece)) == "From elsewhere [1]."


def test_an_engine_that_is_killed_in_mid_answer_is_replaced_elsewhere(elsewhere: Elsewhere) -> None:
    session = SupervisedSession("parrot", "0.2", TextOptions())
    made = assistant(Engine("", TextOptions(), lambda model, options: session, name="parrot"), fallback_to(elsewhere.url))
    events = []
    for event in made.ask("one two three four five six"):
        events.append(event)
        if len(events) == 1 and session.pid is not None:
            os.kill(session.pid, signal.SIGKILL)
    made.close()
    assert isinstance(events[-1], Answered)
    assert events[-1].text == "From elsewhere [1]."
    assert events[-1].badge is not None and events[-1].badge.reason == "lost"


def test_documents_and_what_was_made_of_them_stay_here(elsewhere: Elsewhere, library: Library) -> None:
    history = (Message(role="user", content="the rent?"), Message(role="assistant", content="The rent is 450 euros [1]."))
    made = assistant(failing(), fallback_to(elsewhere.url), library)
    answer = last(made, "How often is the filter of the pump changed?", history=history)
    sent = json.dumps(elsewhere.bodies)
    assert "How often is the filter" in sent
    assert "six months" not in sent and "450" not in sent and "pump.md" not in sent
    assert answer.badge is not None and answer.badge.documents_sent is False
    assert answer.citations == ()


def test_with_the_second_switch_passages_are_sent_and_cited(elsewhere: Elsewhere, library: Library) -> None:
    made = assistant(failing(), fallback_to(elsewhere.url, documents=True), library)
    answer = last(made, "How often is the filter of the pump changed?")
    assert "six months" in json.dumps(elsewhere.bodies)
    assert answer.badge is not None and answer.badge.documents_sent is True
    assert [source.path for source in answer.citations] == ["pump.md"]
    assert answer.unsupported == ("From elsewhere [1].",)


def test_a_busy_server_is_asked_again_and_one_that_refuses_is_not(elsewhere: Elsewhere) -> None:
    waits: list[float] = []
    elsewhere.script = [503, 429]
    assert last(assistant(failing(), fallback_to(elsewhere.url, waits)), "x").text.startswith("From")
    assert (len(elsewhere.bodies), waits) == (3, [0.5, 1.0])
    elsewhere.script, waits[:] = [401], []
    with pytest.raises(RemoteRefused, match="401"):
        last(assistant(failing(), fallback_to(elsewhere.url, waits)), "x")
    assert (len(elsewhere.bodies), waits) == (4, [])


def test_whoever_cancels_while_a_busy_server_is_waited_for_waits_no_longer(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.apps.assistant.fallback.FIRST_WAIT_S", 3600.0)
    made = Fallback(FallbackOptions(url=elsewhere.url), lambda address, chosen: open_text(address, options=chosen))
    elsewhere.script = [503] * FAILURES
    cancel = threading.Event()
    elsewhere.asked = cancel.set
    answer = last(assistant(failing(), made), "x", cancel=cancel)
    assert (answer.text, answer.reason, len(elsewhere.bodies)) == ("", "cancelled", 1)
    assert answer.badge is not None  # the question did leave this machine


def test_whoever_has_cancelled_asks_nobody_else(elsewhere: Elsewhere) -> None:
    cancel = threading.Event()
    cancel.set()
    answer = last(assistant(failing(EngineLost("it was ended")), fallback_to(elsewhere.url)), "x", cancel=cancel)
    assert (answer.reason, answer.badge, elsewhere.bodies) == ("cancelled", None, [])


def test_a_server_that_keeps_failing_is_left_alone_for_a_while(elsewhere: Elsewhere) -> None:
    now = [100.0]
    breaker = Breaker(clock=lambda: now[0])
    options = FallbackOptions(url=elsewhere.url)
    fallback = Fallback(
        options, lambda url, chosen: open_text(url, options=chosen), breaker=breaker, wait=lambda cancel, s: None
    )
    made = assistant(failing(), fallback)
    elsewhere.script = [503] * FAILURES
    with pytest.raises(RemoteRefused, match="503"):
        last(made, "x")
    with pytest.raises(RemoteRefused, match=f"rests for {PAUSE_S:.0f} s"):
        last(made, "x")
    assert len(elsewhere.bodies) == FAILURES
    now[0] += PAUSE_S
    assert last(made, "x").text.startswith("From")
    assert breaker.open_for_s == 0


def test_rubbish_from_elsewhere_is_an_error_with_its_address(elsewhere: Elsewhere) -> None:
    elsewhere.script = ["rubbish"]
    with pytest.raises(EdgekitError, match=r"127\.0\.0\.1"):
        last(assistant(failing(), fallback_to(elsewhere.url)), "x")


def test_where_both_fail_documents_are_still_quoted(elsewhere: Elsewhere, library: Library) -> None:
    elsewhere.script = [401]
    answer = last(assistant(failing(), fallback_to(elsewhere.url), library), "How often is the filter of the pump changed?")
    assert (answer.mode, answer.badge) == ("extractive", None)
    assert "six months" in answer.text
    assert "the model did not answer" in answer.notes[0]


def test_the_log_says_which_answers_came_from_elsewhere(elsewhere: Elsewhere, tmp_path: Path) -> None:
    with closing(Log(tmp_path / "q.sqlite")) as log:
        last(assistant(failing(), fallback_to(elsewhere.url), log=log), "x")
        (row,) = log.recent()
        assert (row["source"], row["model"], row["outcome"]) == ("fallback", "big", "stop")
