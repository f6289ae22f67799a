"""`edgekit run assistant`: one question, passages, a chat in the terminal; and options that do not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from elsewhere import Elsewhere

from edgekit.apps.assistant.assistant import Assistant
from edgekit.apps.assistant.chat import Chat
from edgekit.apps.assistant.conversations import Conversations
from edgekit.apps.assistant.engine import Engine
from edgekit.apps.assistant.generation import Writer
from edgekit.apps.assistant.terminal import talk
from edgekit.cli import main
from edgekit.core.interrupts import Terminated
from edgekit.runtimes.language.parrot import ParrotSession
from edgekit.runtimes.text import EngineRefused, TextOptions, TextSession

QUESTION = "How often is the filter of the pump changed?"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(["run", "assistant", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_question_over_documents_is_answered_by_quoting(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answer = run(capsys, "--ask", QUESTION, "--documents", str(documents), "--data", str(tmp_path / "data"))
    assert code == 0
    assert answer["answer"] == "The filter of the pump is changed every six months. [1]"
    (citation,) = answer["citations"]
    assert {name: citation[name] for name in ("n", "path", "page")} == {"n": 1, "path": "pump.md", "page": None}
    text = (documents / "pump.md").read_text()
    assert text[citation["start"] : citation["end"]] == "The filter of the pump is changed every six months."
    assert (answer["source"], answer["mode"]) == ("local", "extractive")
    assert answer["timings"]["search_ms"] > 0


def test_for_a_person_the_sources_stand_below_and_it_is_said_that_it_is_a_quotation(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "assistant", "--ask", QUESTION, "--documents", str(documents), "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "[1] pump.md, Pump › Service" in said
    assert "quoted from your documents; no language model spoke" in said


def test_a_question_that_no_document_answers_is_told_so(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, answer = run(capsys, "--ask", "Who painted Guernica?", "--documents", str(documents), "--data", str(tmp_path))
    assert (answer["answer"], answer["citations"], answer["mode"]) == ("This is not in your documents.", [], "none")


def test_passages_are_printed_best_first(documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--search", QUESTION, "--top", "2", "--documents", str(documents), "--data", str(tmp_path))
    _, found = run(capsys, *arguments)
    assert [set(one) >= {"path", "page", "text", "score"} for one in found["passages"]] == [True, True]
    assert found["passages"][0]["path"] == "pump.md"
    assert "six months" in found["passages"][0]["text"]


def test_a_model_is_asked_when_there_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, answer = run(capsys, "--ask", "say this", "--runtime", "parrot", "--data", str(tmp_path))
    assert (answer["answer"], answer["mode"], answer["model"]) == ("say this", "generated", "parrot")
    assert answer["timings"]["predicted_n"] == len("say this")


def test_a_server_elsewhere_is_a_model_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_SERVER_KEY", "k3y")
    monkeypatch.setenv("EDGEKIT_FALLBACK_KEY", "another's")
    with closing(Elsewhere()) as other:
        _, answer = run(capsys, "--ask", "say this", "--artifact", f"{other.url}#large", "--data", str(tmp_path))
    assert (answer["answer"], answer["model"], answer["source"]) == ("From elsewhere [1].", "large", "local")
    assert other.keys == ["Bearer k3y"]
    assert other.bodies[0]["model"] == "large" and other.bodies[0]["messages"][-1]["content"] == "say this"


def test_a_file_that_is_refused_is_named_and_the_others_answer(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (documents / "broken.txt").write_bytes(b"\0\1\2")
    _, answer = run(capsys, "--ask", QUESTION, "--documents", str(documents), "--data", str(tmp_path))
    assert [one["path"] for one in answer["refused"]] == ["broken.txt"]
    assert "six months" in answer["answer"]


WRONG = [
    pytest.param(["--ask", "x"], 1, "no language model was given", id="nothing to answer from"),
    pytest.param(["--ask", " "], 2, "--ask needs a question", id="an empty question"),
    pytest.param(["--search", "x"], 2, "--search needs --documents", id="nothing to search"),
    pytest.param(["--ask", "x", "--documents", "gone"], 1, "there is no folder 'gone'", id="no folder"),
    pytest.param(["--ask", "x", "--artifact", "gone.gguf"], 1, "there is no artifact 'gone.gguf'", id="no model"),
    pytest.param(["--ask", "x", "--image", "a.png"], 2, "no use for --image", id="a picture"),
    pytest.param(["--ask", "x", "--fallback-documents"], 2, "needs --fallback-url", id="half a fallback"),
    pytest.param(["--ask", "x", "--fallback-url", "ftp://x"], 2, "not the address of an API", id="no address"),
    pytest.param(["--ask", "x", "--fallback-url", "http://x", "--fallback-on", "mood"], 2, "knows no 'mood'", id="a trigger"),
    pytest.param(["--ask", "x", "--context", "-1"], 2, "--context -1 is no number of tokens", id="a context below nothing"),
    pytest.param(["--ask", "x", "--deadline", "0"], 2, "--deadline 0 is no time", id="no time"),
    pytest.param(["--ask", "x", "--deadline", "nan"], 2, "--deadline nan is no time", id="a time that is no number"),
    pytest.param(["--ask", "x", "--log-days", "-3"], 2, "--log-days -3 is no number of days", id="days below nothing"),
    pytest.param(["--ask", "x", "--embedding", "a.gguf"], 2, "--embedding needs --documents", id="nothing to embed"),
    pytest.param(["--ask", "x", "--runtime", "llama_cpp"], 2, "needs --artifact", id="an engine without a model"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), WRONG)
def test_what_does_not_fit_together_is_a_sentence(
    arguments: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    got, answer = run(capsys, *arguments, "--data", str(tmp_path))
    assert got == code
    assert message in answer["error"]
    assert answer["hint"]


def test_the_terminal_chats_line_by_line(documents: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "edgekit", "run", "assistant", "--terminal", "--documents", str(documents)]
    done = subprocess.run(
        [*argv, "--data", str(tmp_path)], input=f"{QUESTION}\n/search filter\n", capture_output=True, text=True, check=True
    )
    assert "every six months. [1]" in done.stdout
    assert f"{QUESTION}: " in done.stdout


def test_what_is_typed_need_not_be_utf_8(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "edgekit", "run", "assistant", "--runtime", "parrot", "--data", str(tmp_path)]
    typed = subprocess.run([*argv, "--terminal"], input=b"caf\xe9 pump\n/search caf\xe9\n", capture_output=True, check=True)
    assert b"caf? pump: caf? pump" in typed.stdout
    asked = subprocess.run([*argv, "--ask", b"caf\xe9 pump"], capture_output=True, check=True)
    assert asked.stdout.startswith(b"caf? pump\n")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Conversations]:
    with closing(Conversations(tmp_path / "c.sqlite")) as made:
        yield made


def chat_with(session: TextSession | None, kept: Conversations) -> Chat:
    def opened(model: str, options: TextOptions) -> TextSession:
        if session is None:
            raise EngineRefused("it does not load", "another one")
        return session

    return Chat(Assistant(Writer(Engine("m", TextOptions(), opened, name="m"))), kept)


def test_a_conversation_goes_with_its_questions(kept: Conversations) -> None:
    session = ParrotSession()
    chat = chat_with(session, kept)
    one = kept.new("ann").id
    for question in ("first", "second"):
        list(chat.turn("ann", one, question))
    assert session._known == "user: first\nassistant: first\nuser: second\nassistant: "
    assert [message.content for message in kept.messages(one)] == ["first", "first", "second", "second"]
    assert kept.messages(one)[1].details["timings"]["predicted_n"] == 5


def test_a_stopped_answer_keeps_what_was_said(kept: Conversations) -> None:
    chat = chat_with(ParrotSession(), kept)
    one = kept.new("ann").id
    with closing(chat.turn("ann", one, "a b c d e f")) as events:
        next(events), next(events)
    assert [message.content for message in kept.messages(one)] == ["a b c d e f", "a b"]


def test_a_failed_answer_keeps_the_question_and_says_why(kept: Conversations) -> None:
    chat = chat_with(None, kept)
    one = kept.new("ann").id
    with pytest.raises(EngineRefused):
        list(chat.turn("ann", one, "anyone?"))
    question, answer = kept.messages(one)
    assert (question.content, answer.content, answer.details["error"]) == ("anyone?", "", "it does not load")


def test_what_a_model_says_does_not_steer_the_terminal(kept: Conversations) -> None:
    said: list[str] = []
    talk(chat_with(ParrotSession(), kept), ["\x1b[2Jboo \x07"], said.append)
    assert "\x1b" not in "".join(said) and "\\x1b[2Jboo" in "".join(said)


def test_an_error_in_the_terminal_ends_the_answer_not_the_chat(kept: Conversations) -> None:
    said: list[str] = []
    talk(chat_with(None, kept), ["one", "/list", "/delete"], said.append)
    assert "error: it does not load\n  try: another one\n" in said
    assert "  one\n" in said


def test_ctrl_c_ends_the_answer_and_sigterm_the_chat(kept: Conversations) -> None:
    def write(text: str) -> None:
        said.append(text)
        if "boo" in text and stop:
            raise stop.pop()

    said: list[str] = []
    stop: list[BaseException] = [KeyboardInterrupt()]
    talk(chat_with(ParrotSession(), kept), ["boo", "hey"], write)
    assert "\n(stopped)\n" in said and "hey" in "".join(said[said.index("\n(stopped)\n") :])
    stop.append(Terminated())
    with pytest.raises(Terminated):
        talk(chat_with(ParrotSession(), kept), ["boo"], write)


def test_nobody_steers_the_terminal_by_a_title_an_error_or_a_document(
    kept: Conversations, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    hostile = "\x1b]0;owned\x07 zebra"
    talk(chat_with(ParrotSession(), kept), [hostile, "/list", "/search zebra"], said.append)
    (tmp_path / "a.txt").write_text(f"The {hostile} sleeps in the zoo.")
    for what in ("--search", "--ask"):
        main(["run", "assistant", what, "zebra zoo", "--documents", str(tmp_path), "--data", str(tmp_path / "data")])
    shown = "".join(said) + capsys.readouterr().out
    assert "\x1b" not in shown and shown.count("\\x1b]0;owned\\x07") >= 4
