"""What the engine has evaluated of a conversation is kept on disk, so that its next turn evaluates the new words only."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tiny_language import loads, tiny_gguf

from edgekit.apps.assistant.answers.prompt import INSTRUCTIONS
from edgekit.apps.assistant.assistant import Answered, Assistant
from edgekit.apps.assistant.build import assistant, conversations, keep_states
from edgekit.apps.assistant.chat import Chat
from edgekit.apps.assistant.conversations import Conversations
from edgekit.apps.assistant.engine import Engine
from edgekit.apps.assistant.generation import Measured, Wanted, Writer
from edgekit.apps.assistant.options import requested
from edgekit.apps.assistant.states import MOST_BYTES, States, Turn, room_for_states
from edgekit.apps.base import RunOptions
from edgekit.cli import main
from edgekit.runtimes.language.state import tokens_in
from edgekit.runtimes.language.supervised import SupervisedSession
from edgekit.runtimes.text import EngineLost, Message, TextOptions, TextRequest

OWNER = "somebody"
LONG = "A first question that has quite a few words in it, so that there is something to remember."
SECOND = "And a second one?"
FAST = 1e15
"""Bytes per second of a disk on which writing always pays."""


@dataclass(kw_only=True)
class Start:
    """One start of the app: an engine, the conversations on disk, and what the engine remembers of them."""

    folder: Path
    engine: str = "parrot"
    model: str = ""
    most_bytes: int = MOST_BYTES
    idle_s: float = 1000.0
    bytes_per_s: float = FAST
    context: int = 1000
    stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Start:
        self.kept = Conversations(self.folder / "conversations.sqlite")
        self.stack.callback(self.kept.close)
        options = TextOptions(context=self.context, threads=1)
        opened = Engine(self.model, options, lambda path, chosen: SupervisedSession(self.engine, path, chosen), name="it")
        self.writer = Writer(opened)
        self.chat = Chat(Assistant(self.writer), self.kept)
        self.stack.callback(self.chat.assistant.close)
        exists, idle_s = self.kept.exists, self.idle_s
        self.states = States(self.folder / "states", self.most_bytes, exists, idle_s=idle_s, bytes_per_s=self.bytes_per_s)
        self.states.keep_only(self.kept.ids())
        self.writer.states, self.kept.on_forget = self.states, self.states.forget
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    @property
    def session(self) -> SupervisedSession:
        opened = self.writer.engine.session() if self.writer.engine is not None else None
        assert isinstance(opened, SupervisedSession)
        return opened

    def new(self) -> str:
        return self.kept.new(OWNER).id

    def ask(self, conversation: str, question: str) -> dict[str, int]:
        """The answer's timings."""
        *_, answer = self.chat.turn(OWNER, conversation, question)
        assert isinstance(answer, Answered) and answer.text
        return dict(answer.timings)

    def ask_as_a_program(self) -> None:
        """What belongs to no conversation, as a request to the API does."""
        request = TextRequest(messages=(Message(role="user", content="something else entirely, for a program"),))
        list(self.writer.stream(Wanted(lambda _: request, threading.Event()), Measured()))

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "states").glob("*"))


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Start]:
    return lambda **more: Start(folder=tmp_path, **more)


def asked_once(start: Callable[..., Start], **more: object) -> str:
    """A conversation of one turn, from a start that has ended."""
    with start(**more) as first:
        conversation = first.new()
        first.ask(conversation, LONG)
    return conversation


def test_after_a_restart_only_what_is_new_is_evaluated(start: Callable[..., Start]) -> None:
    conversation = asked_once(start)
    with start() as second:
        timings = second.ask(conversation, SECOND)
    assert timings["cache_n"] > len(LONG)
    assert timings["prompt_n"] < 2 * len(LONG)


def test_each_conversation_goes_on_where_it_was_whoever_came_between(start: Callable[..., Start]) -> None:
    with start() as one:
        first, second = one.new(), one.new()
        one.ask(first, LONG)
        one.ask(second, LONG.upper())
        assert one.ask(first, SECOND)["cache_n"] > len(LONG)
        one.ask_as_a_program()
        assert one.ask(second, SECOND)["cache_n"] > len(LONG)


def test_what_a_program_asked_is_written_nowhere(start: Callable[..., Start]) -> None:
    with start() as one:
        conversation = one.new()
        one.ask(conversation, LONG)
        one.ask_as_a_program()
    assert one.files() == [f"{conversation}.state"]
    assert not any(b"program" in _text(path) for path in (one.folder / "states").iterdir())


def _text(state: Path) -> bytes:
    """A parrot's tokens are letters."""
    return "".join(map(chr, tokens_in(state))).encode()


def test_states_are_their_owners_alone(start: Callable[..., Start]) -> None:
    conversation = asked_once(start)
    state = start().folder / "states" / f"{conversation}.state"
    assert (state.stat().st_mode & 0o777, state.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_deleted_conversation_leaves_no_state(start: Callable[..., Start]) -> None:
    conversation = asked_once(start)
    with start() as second:
        assert second.files() == [f"{conversation}.state"]
        second.kept.delete(conversation, OWNER)
        assert second.files() == []


def test_a_conversation_that_is_deleted_while_the_engine_holds_it_is_not_written(start: Callable[..., Start]) -> None:
    with start() as one:
        conversation = one.new()
        one.ask(conversation, LONG)
        one.kept.delete_all(OWNER)
    assert one.files() == []


def test_a_conversation_that_is_deleted_during_its_answer_is_not_written(start: Callable[..., Start]) -> None:
    with start() as one:
        conversation = one.new()
        request = TextRequest(messages=(Message(role="user", content=LONG),))
        one.ask(conversation, LONG)
        deleted = one.new()
        one.kept.delete(deleted, OWNER)
        turn = Turn(conversation=deleted, passages=False)  # it was there when it was asked
        list(one.writer.stream(Wanted(lambda _: request, threading.Event(), turn=turn), Measured()))
    assert one.files() == [f"{conversation}.state"]


def test_what_is_left_of_conversations_that_are_gone_goes_at_the_next_start(start: Callable[..., Start]) -> None:
    conversation = asked_once(start)
    folder = start().folder / "states"
    (folder / "f00.state").write_bytes(b"of one that is gone")
    (folder / "tmpabc").mkdir()
    (folder / "tmpabc" / "raw").write_bytes(b"of a process that was killed")
    with start() as second:
        assert second.files() == [f"{conversation}.state"]


@pytest.mark.parametrize("how", ["half", "a bit", "nothing", "rubbish"])
def test_a_damaged_state_costs_nothing_but_its_use(start: Callable[..., Start], how: str) -> None:
    conversation = asked_once(start)
    state = start().folder / "states" / f"{conversation}.state"
    whole = state.read_bytes()
    broken = {"half": whole[: len(whole) // 2], "a bit": whole[:-50] + bytes([whole[-50] ^ 1]) + whole[-49:], "nothing": b""}
    state.write_bytes(broken.get(how, b"rubbish\n" * 100))
    with start() as second:
        assert second.ask(conversation, SECOND)["cache_n"] == 0
        assert second.files() == []
    with start() as third:  # what was evaluated anew was kept again
        assert third.ask(conversation, "A third?")["cache_n"] > len(LONG)


def test_a_state_of_another_context_is_not_used(start: Callable[..., Start]) -> None:
    conversation = asked_once(start, context=1000)
    with start(context=900) as second:
        assert second.ask(conversation, SECOND)["cache_n"] == 0


def test_a_lost_engine_takes_no_state_with_it(start: Callable[..., Start]) -> None:
    conversation = asked_once(start)
    with start() as second:
        second.ask(conversation, SECOND)
        assert second.session.pid is not None
        os.kill(second.session.pid, 9)
        with pytest.raises(EngineLost):
            while True:  # until it is noticed
                second.session.tokenize("x")
        assert second.files() == [f"{conversation}.state"]
        assert second.ask(conversation, "A third?")["cache_n"] > len(LONG)


def test_where_writing_takes_longer_than_reading_again_nothing_is_written(start: Callable[..., Start], model: Path) -> None:
    if loads("llama_cpp"):
        pytest.skip("llama_cpp is not here")
    conversation = asked_once(start, engine="llama_cpp", model=str(model), bytes_per_s=1.0)
    assert not list((start().folder / "states").glob("*"))
    with start(engine="llama_cpp", model=str(model)) as second:
        assert second.ask(conversation, SECOND)["cache_n"] == 0


def test_states_used_longest_ago_make_room(start: Callable[..., Start], model: Path) -> None:
    if loads("llama_cpp"):
        pytest.skip("llama_cpp is not here")
    with start(engine="llama_cpp", model=str(model), context=200, most_bytes=120_000) as one:
        names = [one.new() for _ in range(4)]
        for name in names:
            one.ask(name, LONG)
    sizes = {path.stem: path.stat().st_size for path in (one.folder / "states").iterdir()}
    assert 0 < len(sizes) < 4 and set(sizes) == set(names[-len(sizes) :])
    with start(engine="llama_cpp", model=str(model), context=200, most_bytes=1000) as one:
        one.ask(one.new(), LONG)
    assert {path.stem for path in (one.folder / "states").iterdir()} == set(sizes)  # one that fits nowhere drives nobody out


def test_a_full_disk_costs_the_state_and_nothing_else(
    start: Callable[..., Start], model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if loads("llama_cpp"):
        pytest.skip("llama_cpp is not here")
    with start(engine="llama_cpp", model=str(model)) as one:
        first, second = one.new(), one.new()
        one.ask(first, LONG)
        assert one.session.pid is not None
        resource.prlimit(one.session.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        assert one.ask(second, LONG)["predicted_n"] > 0
        assert one.ask(first, SECOND)["predicted_n"] > 0
        assert "a conversation's state is not kept" in caplog.text
        assert one.files() == []


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", context=1000)


@pytest.mark.parametrize("engine", ["llama_cpp", "xllamacpp"])
def test_another_model_reads_the_conversation_itself(
    start: Callable[..., Start], model: Path, tmp_path: Path, engine: str
) -> None:
    if why := loads(engine):
        pytest.skip(f"{engine} is not here: {why}")
    conversation = asked_once(start, engine=engine, model=str(model))
    assert len(list((tmp_path / "states").iterdir())) == 1
    other = tiny_gguf(tmp_path / "other.gguf", seed=5, context=1000)
    with start(engine=engine, model=str(other)) as second:
        assert second.ask(conversation, SECOND)["cache_n"] < 10


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of which a token takes long to evaluate and little to write down, as real models' do."""
    return tiny_gguf(tmp_path_factory.mktemp("model") / "slow.gguf", feed=16384, context=300)


ONE_TURN = """
import json, sys
from contextlib import ExitStack
from pathlib import Path
from edgekit.apps.assistant.build import assistant, conversations, keep_states
from edgekit.apps.assistant.options import requested
from edgekit.apps.base import RunOptions
from edgekit.runtimes.text import Message, Sampling

folder, model, engine, question = sys.argv[1:]
with ExitStack() as stack:
    request = requested(RunOptions(artifact=model, runtime=engine, own={"data": Path(folder), "context": 300}))
    kept = conversations(request, stack)
    made = assistant(request, stack)
    keep_states(request, made, kept)
    there = (kept.list("somebody") or (kept.new("somebody"),))[0].id
    history = [Message(role=one.role, content=one.content) for one in kept.messages(there)]
    *_, answer = made.ask(question, history, sampling=Sampling(max_tokens=8), conversation=there)
    kept.say(there, "user", question)
    kept.say(there, "assistant", answer.text)
    print(json.dumps(made.log.recent(1)[0]))
"""


@pytest.mark.parametrize("engine", ["llama_cpp", "xllamacpp"])
def test_another_process_goes_on_and_the_log_shows_it(slow_model: Path, tmp_path: Path, engine: str) -> None:
    if why := loads(engine):
        pytest.skip(f"{engine} is not here: {why}")
    logged = []
    for question in (LONG, SECOND):
        argv = [sys.executable, "-c", ONE_TURN, str(tmp_path), str(slow_model), engine, question]
        logged.append(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout)
    first, second = map(json.loads, logged)
    assert (first["cache_n"], first["prompt_n"] > len(LONG)) == (0, True)
    assert second["cache_n"] > len(LONG)


def test_a_state_is_written_when_nobody_has_asked_for_a_while(start: Callable[..., Start]) -> None:
    with start(idle_s=0.01) as one:
        conversation = one.new()
        one.ask(conversation, LONG)
        until = time.monotonic() + 60
        while not one.files() and time.monotonic() < until:
            time.sleep(0.01)
        assert one.files() == [f"{conversation}.state"]


def test_by_default_states_take_a_tenth_of_what_is_free(tmp_path: Path) -> None:
    assert 0 < room_for_states(tmp_path / "not" / "there") <= MOST_BYTES


def test_turned_off_nothing_is_kept_and_nothing_is_left(start: Callable[..., Start], tmp_path: Path) -> None:
    conversation = asked_once(start)
    with ExitStack() as stack:
        request = requested(RunOptions(runtime="parrot", own={"data": tmp_path, "keep_states": 0.0}))
        kept, made = conversations(request, stack), assistant(request, stack)
        keep_states(request, made, kept)
        assert not list((tmp_path / "states").iterdir())
        *_, answer = Chat(made, kept).turn(OWNER, conversation, SECOND)
        assert isinstance(answer, Answered) and answer.timings["cache_n"] == 0
    assert not list((tmp_path / "states").iterdir())


@pytest.mark.parametrize("megabytes", ["-1", "nan", "inf"])
def test_no_number_of_megabytes_is_refused(megabytes: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "assistant", "--runtime", "parrot", "--ask", "x", "--keep-states", megabytes]) == 2
    assert "is no number of megabytes" in capsys.readouterr().err


def test_with_documents_what_lasts_is_what_stands_before_the_passages(documents: Path, tmp_path: Path) -> None:
    timings = []
    for question in ("How much water does the pump move?", "When are roses pruned?"):
        with ExitStack() as stack:
            own = {"data": tmp_path / "data", "documents": documents}
            request = requested(RunOptions(runtime="parrot", own=own))
            kept, made = conversations(request, stack), assistant(request, stack)
            keep_states(request, made, kept)
            assert made.library is not None
            made.library.update()
            there = (kept.list(OWNER) or (kept.new(OWNER),))[0].id
            *_, answer = Chat(made, kept).turn(OWNER, there, question)
            assert isinstance(answer, Answered) and answer.sources
            timings.append(answer.timings)
    assert timings[0]["cache_n"] == 0
    assert len(INSTRUCTIONS) < timings[1]["cache_n"] < timings[0]["prompt_n"]
