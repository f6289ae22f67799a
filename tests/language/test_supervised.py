"""One watched process: order, place in the queue, cancelling, deadlines, restarts."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.core.errors import InputError, NotFound
from edgekit.runtimes._children import pipe
from edgekit.runtimes.language._process import Process
from edgekit.runtimes.language.supervised import SupervisedSession
from edgekit.runtimes.text import Done, EngineLost, Message, Piece, PromptTooLong, Sampling, TextEvent, TextRequest, Waiting

LONG = "word " * 200


@pytest.fixture
def parrot() -> Iterator[SupervisedSession]:
    session = SupervisedSession("parrot", "")
    yield session
    session.close()


@pytest.fixture
def slow() -> Iterator[SupervisedSession]:
    """A parrot that thinks for 50 ms before each word."""
    session = SupervisedSession("parrot", "0.05")
    yield session
    session.close()


def asked(content: str, **more: object) -> TextRequest:
    return TextRequest(messages=(Message(role="user", content=content),), **more)  # type: ignore[arg-type]


def text(events: list[TextEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece))


def done(events: list[TextEvent]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


def test_an_answer_comes_in_pieces_and_ends_with_its_timings(parrot: SupervisedSession) -> None:
    events = list(parrot.generate(asked("one two three")))
    assert [event.text for event in events if isinstance(event, Piece)] == ["one", " two", " three"]
    assert done(events).reason == "stop"
    assert done(events).timings.as_json()["predicted_n"] == len("one two three")


def test_a_second_turn_evaluates_only_what_is_new(parrot: SupervisedSession) -> None:
    first = done(list(parrot.generate(asked("the same beginning"))))
    second = done(list(parrot.generate(asked("the same beginning"))))
    assert first.timings.cache_n == 0
    assert second.timings.prompt_n == 0 and second.timings.cache_n == first.timings.prompt_n


def test_the_engine_runs_in_a_process_of_its_own(parrot: SupervisedSession) -> None:
    assert parrot.pid not in (None, os.getpid())


def test_an_engine_that_aborts_starts_no_debugger(parrot: SupervisedSession) -> None:
    assert b"GGML_NO_BACKTRACE=1" in Path(f"/proc/{parrot.pid}/environ").read_bytes().split(b"\0")


def test_a_killed_process_is_an_error_and_the_next_request_starts_another(slow: SupervisedSession) -> None:
    before = slow.pid
    answer = slow.generate(asked(LONG))
    next(answer)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    with pytest.raises(EngineLost, match="SIGKILL"):
        list(answer)
    assert text(list(slow.generate(asked("again")))) == "again"
    assert slow.pid != before


@pytest.mark.parametrize("crashes", [False, True])
def test_what_the_process_leaves_in_its_folder_for_temporary_files_goes_with_it(
    crashes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    session = SupervisedSession("parrot", "")
    environment = dict(pair.partition("=")[::2] for pair in Path(f"/proc/{session.pid}/environ").read_text().split("\0"))
    (folder,) = tmp_path.iterdir()
    assert environment["TMPDIR"] == str(folder)
    (folder / "left").write_text("by the engine")
    if crashes:
        assert session.pid is not None
        os.kill(session.pid, signal.SIGKILL)
    session.close()
    assert list(tmp_path.iterdir()) == []


def test_failures_in_a_row_are_waited_out() -> None:
    now = [0.0]
    session = SupervisedSession("parrot", "0.05", clock=lambda: now[0])
    for _ in range(2):
        answer = session.generate(asked(LONG))
        assert isinstance(next(answer), Piece)  # it was started, again the second time at once
        assert session.pid is not None
        os.kill(session.pid, signal.SIGKILL)
        with pytest.raises(EngineLost, match="SIGKILL"):
            list(answer)
    with pytest.raises(EngineLost, match=r"2 times in a row and is started again in 1\.0 s"):
        session.tokenize("x")
    now[0] = 1.5
    assert session.tokenize("x") == (120,)
    session.close()


def test_requests_are_served_in_their_order_and_told_their_place(slow: SupervisedSession) -> None:
    first = slow.generate(asked("first"))
    next(first)
    places: list[list[int]] = [[], []]
    waiting = [threading.Event(), threading.Event()]

    def wait(index: int) -> None:
        for event in slow.generate(asked("next")):
            if isinstance(event, Waiting):
                places[index].append(event.position)
                waiting[index].set()

    threads = []
    for index in range(2):
        threads.append(threading.Thread(target=wait, args=(index,)))
        threads[-1].start()
        assert waiting[index].wait(10)
    assert places[0] == [1] and places[1][0] == 2
    list(first)
    for thread in threads:
        thread.join(10)
    assert places[1] in ([2, 1], [2])


def test_a_request_may_be_cancelled_while_it_waits(slow: SupervisedSession) -> None:
    first = slow.generate(asked("first one"))
    next(first)
    cancel = threading.Event()
    second = slow.generate(asked("second"), cancel=cancel)
    assert next(second) == Waiting(position=1)
    cancel.set()
    assert done(list(second)).reason == "cancelled"
    assert text(list(first)) == " one"


def test_a_deadline_counts_the_time_of_waiting(slow: SupervisedSession) -> None:
    first = slow.generate(asked("first words"))
    next(first)
    late = list(slow.generate(asked("second", deadline_s=0.05)))
    assert done(late).reason == "deadline"
    list(first)


def test_a_cancelled_answer_ends_with_what_was_said(slow: SupervisedSession) -> None:
    cancel = threading.Event()
    answer = slow.generate(asked(LONG), cancel=cancel)
    assert isinstance(next(answer), Piece)
    cancel.set()
    rest = list(answer)
    assert done(rest).reason == "cancelled" and len(rest) < 20


def test_an_answer_nobody_wants_any_more_leaves_a_process_that_listens(slow: SupervisedSession) -> None:
    pid = slow.pid
    answer = slow.generate(asked(LONG))
    next(answer)
    answer.close()  # type: ignore[attr-defined]
    assert text(list(slow.generate(asked("after")))) == "after"
    assert slow.pid == pid


def test_a_process_that_dies_while_nobody_wants_its_answer_is_started_again(slow: SupervisedSession) -> None:
    answer = slow.generate(asked(LONG))
    next(answer)
    assert slow.pid is not None
    os.kill(slow.pid, signal.SIGKILL)
    answer.close()  # type: ignore[attr-defined]  # and raises nothing: nobody is there to be told
    assert text(list(slow.generate(asked("after")))) == "after"


def test_a_line_that_is_no_call_ends_the_process_instead_of_leaving_both_waiting() -> None:
    process = Process("parrot")
    pipe(process._process.stdin).write(b'{"name": "nonsense"}\n')
    with pytest.raises(EngineLost, match="is no call: Invalid enum value 'nonsense'"):
        list(process.answers(1, 60.0))


def test_errors_cross_the_process_border_with_their_numbers(parrot: SupervisedSession) -> None:
    with pytest.raises(PromptTooLong) as caught:
        list(parrot.generate(asked("x" * 5000)))
    assert caught.value.tokens > caught.value.limit > 0
    with pytest.raises(InputError, match="no token 99999999"):
        parrot.detokenize([99999999])


def test_a_stop_text_ends_the_answer_and_is_not_part_of_it(parrot: SupervisedSession) -> None:
    events = list(parrot.generate(asked("to be or not", sampling=Sampling(stop=("or n",)))))
    assert text(events) == "to be " and done(events).reason == "stop"


def test_most_tokens_end_the_answer(parrot: SupervisedSession) -> None:
    events = list(parrot.generate(asked("to be or not", sampling=Sampling(max_tokens=5))))
    assert text(events) == "to be" and done(events).reason == "length"


def test_a_file_that_is_not_there_starts_no_process() -> None:
    with pytest.raises(NotFound, match="no model at"):
        SupervisedSession("llama_cpp", "nowhere.gguf")


def test_an_answer_that_runs_into_its_deadline_says_so(slow: SupervisedSession) -> None:
    events = list(slow.generate(asked(LONG, deadline_s=0.3)))
    assert done(events).reason == "deadline" and text(events).startswith("word word")
