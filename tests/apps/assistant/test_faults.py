"""What a request, a model or a killed process does to the server: a clear error, and the next question is answered as before.

The engine is a real one on a tiny model; the rows of the crash list that only its files and numbers can cause are in
`tests/language/test_crash_table.py`.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from documents import write_documents
from processes import engine_of
from tiny_language import loads, tiny_gguf
from waiting import wait_until

from edgekit.apps.assistant.assistant import Assistant
from edgekit.apps.assistant.chat import Chat
from edgekit.apps.assistant.conversations import Conversations
from edgekit.apps.assistant.engine import Engine
from edgekit.apps.assistant.generation import Writer
from edgekit.runtimes.language.supervised import SupervisedSession
from edgekit.runtimes.text import EngineLost, Piece, TextOptions

SAY = {"max_tokens": 4, "temperature": 0}


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., Any]) -> Iterator[Any]:
    """A server with a real engine on a tiny model."""
    if why := loads("xllamacpp"):
        pytest.skip(f"xllamacpp is not here: {why}")
    folder = tmp_path_factory.mktemp("faults")
    model = tiny_gguf(folder / "tiny.gguf")
    with serve(folder, "--artifact", str(model), "--runtime", "xllamacpp", "--context", "256") as one:
        yield one


def post(server: Any, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    parts = urlsplit(server.url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as connection:
        headers = {"authorization": f"Bearer {server.token}"}
        connection.request("POST", f"/v1/{path}", json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def chat(server: Any, text: str = "hello", **more: Any) -> tuple[int, Any]:
    return post(server, "chat/completions", {"messages": [{"role": "user", "content": text}], **SAY, **more})


LOOP = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a grammar without a root": ("completions", {"prompt": "x", "grammar": 'answer ::= "yes"'}, "no rule named root"),
    "a grammar that calls nobody": ("completions", {"prompt": "x", "grammar": "root ::= nowhere"}, "which no rule defines"),
    "a grammar that never begins": ("completions", {"prompt": "x", "grammar": 'root ::= root "a"'}, "grammar"),
    "a token out of range": ("completions", {"prompt": "x", "logit_bias": {"999999": 1}}, "no token 999999"),
    "a token below all": ("completions", {"prompt": "x", "logit_bias": {"-1": 1}}, "no token -1"),
    "tokens that stand for no text": ("embeddings", {"input": [[5, 999999]]}, "no token 999999"),
    "a text too long to embed": ("embeddings", {"input": "x" * 1000}, "cannot be embedded"),
    "a prompt longer than the context": ("completions", {"prompt": "x" * 1000}, "the context 256"),
    "a schema that calls nobody": (
        "chat/completions",
        {
            "messages": [{"role": "user", "content": "x"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#/$defs/none"}}},
        },
        "none",
    ),
    "a schema without end": (
        "chat/completions",
        {
            "messages": [{"role": "user", "content": "x"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": LOOP}},
        },
        "refers to itself alone",
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_a_fault_is_named_and_the_same_process_answers_the_next_question(
    talking: Any, fault: tuple[str, dict[str, Any], str]
) -> None:
    assert chat(talking)[0] == 200
    before = engine_of(talking.pid)
    path, body, said = fault
    status, answer = post(talking, path, body)
    assert status == 400 and said in answer["error"]["message"]
    assert chat(talking)[0] == 200
    assert engine_of(talking.pid) == before


MODELS: dict[str, tuple[Callable[[bytes], bytes], tuple[str, ...], str]] = {
    "a web page": (lambda data: b"<!DOCTYPE html><html>404</html>", (), "is a web page"),
    "a Git LFS pointer": (lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", (), "Git LFS pointer"),
    "half a file": (lambda data: data[: len(data) // 2], (), "is truncated"),
    "a context that has no room": (lambda data: data, ("--context", "2000000000"), "can be used"),
}


@pytest.mark.parametrize("given", MODELS.values(), ids=list(MODELS))
def test_a_model_that_is_refused_costs_its_own_answers_and_nothing_else(
    given: tuple[Callable[[bytes], bytes], tuple[str, ...], str], serve: Callable[..., Any], tmp_path: Path
) -> None:
    """Asked twice, the server says why twice; documents are quoted meanwhile, and the reason stands beside."""
    change, options, said = given
    model = tmp_path / "model.gguf"
    model.write_bytes(change(tiny_gguf(tmp_path / "whole.gguf").read_bytes()))
    documents = str(write_documents(tmp_path / "documents"))
    with serve(tmp_path, "--artifact", str(model), "--documents", documents, *options) as server:
        for _ in range(2):
            status, answer = chat(server)
            assert status >= 400 and said in answer["error"]["message"]
        wait_for_documents(server)
        status, answer = chat(server, "How often is the filter of the pump changed?", model="documents", max_tokens=100)
        assert status == 200 and "six months" in answer["choices"][0]["message"]["content"]
        assert said in str(answer)


def wait_for_documents(server: Any) -> None:
    parts = urlsplit(server.url)
    for _ in range(600):
        with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as connection:
            connection.request("GET", "/api/documents", headers={"authorization": f"Bearer {server.token}"})
            state = json.loads(connection.getresponse().read())
        if not state["indexing"]["running"] and state["documents"]:
            return
    raise AssertionError(state)


def killed_in_mid_answer(server: Any) -> bytes:
    """What a stream says whose engine is killed when its head has come; the whole answer, where that was too late."""
    wait_until(lambda: chat(server)[0] == 200, "an engine that was lost before is started again, after a pause")
    parts, engine = urlsplit(server.url), engine_of(server.pid)
    body = {"prompt": "x", "max_tokens": 200, "stream": True, "grammar": f'root ::= "{"ab" * 100}"'}
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as connection:
        connection.request("POST", "/v1/completions", json.dumps(body), {"authorization": f"Bearer {server.token}"})
        answer = connection.getresponse()
        os.kill(engine, signal.SIGKILL)
        return answer.read()


def test_an_engine_that_is_killed_in_mid_answer_ends_the_stream_with_its_reason_and_the_next_question_is_answered(
    talking: Any,
) -> None:
    """A tiny model is done within a fraction of a second, so it is killed until it is in the middle of an answer."""
    tried = (killed_in_mid_answer(talking) for _ in range(10))
    seen = next((said for said in tried if b"[DONE]" not in said or b'"error"' in said), b"")
    assert b'"code": "engine_lost"' in seen and b"SIGKILL" in seen
    assert chat(talking)[0] == 200


def test_a_conversation_keeps_what_was_said_before_the_engine_was_killed_and_goes_on(tmp_path: Path) -> None:
    session = SupervisedSession("parrot", "0.1", TextOptions())
    made = Assistant(Writer(Engine("", TextOptions(), lambda model, options: session, name="parrot")))
    with closing(Conversations(tmp_path / "c.sqlite")) as kept:
        one, talk = kept.new("ann").id, Chat(made, kept)
        events = talk.turn("ann", one, "a b c d e f")
        assert isinstance(next(events), Piece) and session.pid is not None
        os.kill(session.pid, signal.SIGKILL)
        with pytest.raises(EngineLost):
            list(events)
        list(talk.turn("ann", one, "again"))
        said = kept.messages(one)
        made.close()
    assert [message.role for message in said] == ["user", "assistant", "user", "assistant"]
    assert said[1].content.startswith("a") and "SIGKILL" in said[1].details["error"]
    assert said[3].content == "again"


def test_a_conversation_that_has_no_room_is_shortened_and_the_answer_says_by_what(tmp_path: Path) -> None:
    session = SupervisedSession("parrot", "", TextOptions(context=200))
    made = Assistant(Writer(Engine("", TextOptions(), lambda model, options: session, name="parrot")))
    with closing(Conversations(tmp_path / "c.sqlite")) as kept:
        one, talk = kept.new("ann").id, Chat(made, kept)
        for number in range(4):
            list(talk.turn("ann", one, f"turn {number} " + "word " * 8))
        last = kept.messages(one)[-1]
        made.close()
    assert last.content.startswith("turn 3")
    dropped = last.details["dropped"]
    assert dropped and all(f"the turn 'turn {number} word" in text for number, text in enumerate(dropped))
