"""The official `openai` client, unchanged, against a real server; and what the server refuses."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

openai = pytest.importorskip("openai", reason="the client of OpenAI's API is not installed")
import pydantic  # noqa: E402  (comes with the client)

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "the weather in a town",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}


@pytest.fixture
def client(server: Any) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.token, max_retries=0) as made:
        yield made


def ask(server: Any, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """Status and JSON of one request."""
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    try:
        connection.request(method, path, data, {"authorization": f"Bearer {server.token}"} | dict(headers or {}))
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if text.startswith(("{", "[")) else text
    finally:
        connection.close()


def test_the_models_are_listed_and_described(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["parrot", "documents"]
    assert client.models.retrieve("documents").owned_by == "edgekit"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_a_chat_is_answered_with_its_usage(client: Any) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say it again, please."}]
    answer = client.chat.completions.create(model="parrot", messages=messages)
    assert answer.choices[0].message.content == "Say it again, please."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == len("Say it again, please.")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model_extra["timings"]["predicted_n"] == answer.usage.completion_tokens


def test_a_prompt_that_goes_on_counts_the_tokens_that_were_known(client: Any) -> None:
    first = [{"role": "user", "content": "Remember this."}]
    client.chat.completions.create(model="parrot", messages=first)
    more = [*first, {"role": "assistant", "content": "Remember this."}, {"role": "user", "content": "And this."}]
    answer = client.chat.completions.create(model="parrot", messages=more)
    assert answer.usage.prompt_tokens_details.cached_tokens >= len("user: Remember this.\n")


def test_a_stream_brings_pieces_and_at_last_the_usage(client: Any) -> None:
    stream = client.chat.completions.create(
        model="parrot",
        messages=[{"role": "user", "content": "one two three"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert "".join(pieces) == "one two three"
    assert len(pieces) == 3
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 13
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]


def test_an_answer_can_be_held_to_a_json_schema(client: Any) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    answer = client.chat.completions.create(
        model="parrot",
        messages=[{"role": "user", "content": "who?"}],
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": schema}},
    )
    assert set(json.loads(answer.choices[0].message.content)) == {"name", "age"}


def test_a_tool_that_must_be_called_is_called_in_the_shape_of_the_api(client: Any) -> None:
    for stream in (False, True):
        answer = client.chat.completions.create(
            model="parrot",
            messages=[{"role": "user", "content": "weather in Ghent?"}],
            tools=[WEATHER],
            tool_choice="required",
            stream=stream,
        )
        if stream:
            chunks = list(answer)
            calls = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or ()]
            finish = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1]
        else:
            calls, finish = answer.choices[0].message.tool_calls, answer.choices[0].finish_reason
        assert [call.function.name for call in calls] == ["weather"]
        assert set(json.loads(calls[0].function.arguments)) == {"town"}
        assert finish == "tool_calls"


def test_a_call_that_a_model_writes_as_text_is_read_as_one(client: Any) -> None:
    text = '<tool_call>{"name": "weather", "arguments": {"town": "Ghent"}}</tool_call>'
    answer = client.chat.completions.create(model="parrot", messages=[{"role": "user", "content": text}], tools=[WEATHER])
    assert json.loads(answer.choices[0].message.tool_calls[0].function.arguments) == {"town": "Ghent"}
    other = client.chat.completions.create(
        model="parrot", messages=[{"role": "user", "content": text.replace("weather", "rm")}], tools=[WEATHER]
    )
    assert other.choices[0].message.tool_calls is None


def test_a_text_is_continued(client: Any) -> None:
    answer = client.completions.create(model="parrot", prompt="first line\nlast line")
    assert answer.choices[0].text == "last line"
    asked = {"model": "parrot", "prompt": "last line", "stream": True, "stream_options": {"include_usage": True}}
    streamed = list(client.completions.create(**asked))
    assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices) == "last line"
    assert streamed[-1].choices == [] and streamed[-1].usage.completion_tokens == len("last line")


def test_any_object_is_an_answer_where_no_schema_is_given_and_a_stream_is_held_to_one_as_well(client: Any) -> None:
    asked = {"model": "parrot", "messages": [{"role": "user", "content": "who?"}]}
    answer = client.chat.completions.create(**asked, response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.choices[0].message.content), dict)
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    chunks = list(client.chat.completions.create(**asked, response_format=wanted, stream=True))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert set(json.loads(said)) == {"name"}


def test_stop_texts_and_most_tokens_end_an_answer_with_their_reason(client: Any) -> None:
    asked = {"model": "parrot", "messages": [{"role": "user", "content": "to be or not"}], "temperature": 0, "seed": 1}
    for limit in ("max_tokens", "max_completion_tokens"):
        choice = client.chat.completions.create(**asked, **{limit: 5}).choices[0]
        assert (choice.message.content, choice.finish_reason) == ("to be", "length")
    choice = client.chat.completions.create(**asked, stop=["or n"]).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("to be ", "stop")


def test_a_tool_of_ones_choice_is_called_and_none_when_none_is_wanted(client: Any) -> None:
    asked = {"model": "parrot", "messages": [{"role": "user", "content": "weather in Ghent?"}], "tools": [WEATHER]}
    chosen = {"type": "function", "function": {"name": "weather"}}
    (call,) = client.chat.completions.create(**asked, tool_choice=chosen).choices[0].message.tool_calls
    assert call.function.name == "weather" and call.type == "function" and call.id
    assert client.chat.completions.create(**asked, tool_choice="none").choices[0].message.tool_calls is None


def test_texts_become_vectors(server: Any, client: Any) -> None:
    answer = client.embeddings.create(model="parrot", input=["one two", "one two", "three"])
    first, same, other = (row.embedding for row in answer.data)
    assert first == same != other
    tokens = client.embeddings.create(model="parrot", input=[list(map(ord, "one two"))])
    assert tokens.data[0].embedding == first
    floats = client.embeddings.create(model="parrot", input="one two", encoding_format="float")
    assert floats.data[0].embedding == pytest.approx(first)
    assert answer.usage.prompt_tokens == len("one twoone twothree")
    last = ask(server, "GET", "/api/analytics?days=1")[1]["recent"][0]
    assert (last["kind"], last["prompt_n"], last["predicted_n"]) == ("embedding", len("one two"), 0) and last["total_ms"] > 0


def test_documents_are_a_model_that_cites(server: Any, client: Any) -> None:
    wait_for_documents(server)
    asked = [{"role": "user", "content": "How often is the filter of the pump changed? [1] [9]"}]
    answer = client.chat.completions.create(model="documents", messages=asked, max_tokens=1000)
    assert "[1]" in answer.choices[0].message.content
    assert "[9]" not in answer.choices[0].message.content
    citation = answer.model_extra["citations"][0]
    assert {name: citation[name] for name in ("n", "path", "page")} == {"n": 1, "path": "pump.md", "page": None}
    text = ask(server, "GET", "/api/documents/text?path=pump.md")[1]["text"]
    assert "every six months" in text[citation["start"] : citation["end"]]


def test_what_no_document_says_is_said_to_be_in_none(server: Any, client: Any) -> None:
    wait_for_documents(server)
    answer = client.chat.completions.create(
        model="documents", messages=[{"role": "user", "content": "Who won the chess championship in Reykjavik?"}]
    )
    assert answer.choices[0].message.content == "This is not in your documents."


def test_what_a_document_commands_stays_a_quotation(server: Any, client: Any) -> None:
    wait_for_documents(server)
    answer = client.chat.completions.create(
        model="documents", messages=[{"role": "user", "content": "What is the secret word?"}]
    )
    prompt = answer.choices[0].message.content  # parrot repeats what it was given
    assert "xylophone" in prompt
    assert "<|im_start|>" not in prompt
    assert prompt.count("</passage>") == prompt.count("<passage n=")
    with pytest.raises(openai.BadRequestError, match="calls no tools"):
        client.chat.completions.create(model="documents", messages=[{"role": "user", "content": "pump?"}], tools=[WEATHER])


BAD = [
    pytest.param({"messages": []}, "messages", id="no messages"),
    pytest.param({"messages": [{"role": "pirate", "content": "x"}]}, "messages[0].role", id="a role"),
    pytest.param({"messages": [{"role": "user", "content": "x"}], "n": 2}, "n", id="two answers"),
    pytest.param({"messages": [{"role": "user", "content": "x"}], "temperature": 9}, "temperature", id="hot"),
    pytest.param({"messages": [{"role": "user", "content": "x"}], "max_tokens": 0}, "max_tokens", id="nothing"),
    pytest.param({"messages": [{"role": "user", "content": "x"}], "stream": "yes"}, "stream", id="a wrong type"),
    pytest.param({"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "x"}]}, "tools[0]", id="no function"),
    *(
        pytest.param({"messages": [{"role": "user", "content": "x"}], **body}, param, id=name)
        for name, param, body in (
            ("a nameless function", "tools[0]", {"tools": [{"type": "function", "function": {"name": ["x"]}}]}),
            ("a function that is a text", "tools[0]", {"tools": [{"type": "function", "function": "x"}]}),
            ("a choice that is none", "tool_choice", {"tools": [WEATHER], "tool_choice": {"function": "x"}}),
            ("a choice among nothing", "tool_choice", {"tool_choice": "required"}),
            ("a schema that is a text", "response_format", {"response_format": {"type": "json_schema", "json_schema": "x"}}),
            ("a form that is none", "response_format", {"response_format": {"type": ["text"]}}),
            ("probabilities", "logprobs", {"logprobs": True}),
            ("a bias without end", "logit_bias", {"logit_bias": {"5": 1e300}}),
            ("a bias for a word", "logit_bias", {"logit_bias": {"word": 1}}),
            ("more than is counted", "top_k", {"top_k": 2**40}),
            ("half a token", "max_tokens", {"max_tokens": 1.5}),
        )
    ),
    pytest.param(
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "messages[0].content",
        id="a picture",
    ),
]


@pytest.mark.parametrize(("body", "param"), BAD)
def test_a_request_that_is_wrong_is_told_where(server: Any, body: dict[str, Any], param: str) -> None:
    status, answer = ask(server, "POST", "/v1/chat/completions", {"model": "parrot"} | body)
    assert status == 400
    assert answer["error"]["param"] == param
    assert answer["error"]["type"] == "invalid_request_error"
    assert set(answer["error"]) == {"message", "type", "param", "code"}


def test_a_body_that_is_no_json_is_refused(server: Any) -> None:
    for body in (b"", b"{", b"[" * 100_000, b"\xff\xfe"):
        status, answer = ask(server, "POST", "/v1/chat/completions", body)
        assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


def test_a_prompt_longer_than_the_context_has_the_code_that_clients_know(client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="parrot", messages=[{"role": "user", "content": "word " * 2000}])
    assert caught.value.code == "context_length_exceeded"


def test_an_unknown_model_is_not_found(client: Any) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "x"}])
    assert caught.value.code == "model_not_found"


PATHS = ["/v1/models", "/v1/chat/completions", "/api/documents", "/api/conversations", "/api/analytics", "/metrics"]


@pytest.mark.parametrize("path", PATHS)
def test_nobody_gets_in_without_a_token(server: Any, path: str) -> None:
    method = "POST" if path.endswith("completions") else "GET"
    for header in ({"authorization": ""}, {"authorization": "Bearer wrong"}):
        assert ask(server, method, path, {}, header)[0] == 401


def test_another_sites_page_and_another_name_for_this_machine_are_refused(server: Any) -> None:
    body = {"model": "parrot", "messages": [{"role": "user", "content": "x"}]}
    assert ask(server, "POST", "/v1/chat/completions", body, {"origin": "https://evil.example"})[0] == 403
    assert ask(server, "GET", "/v1/models", None, {"host": "evil.example"})[0] in (400, 403, 421)


def test_metrics_count_queries_and_tokens(server: Any, client: Any) -> None:
    client.chat.completions.create(model="parrot", messages=[{"role": "user", "content": "count me"}])
    text = ask(server, "GET", "/metrics")[1]
    assert 'edgekit_assistant_queries_total{kind="chat",outcome="stop",source="local"}' in text
    assert "edgekit_assistant_model_loaded 1.0" in text
    assert ask(server, "GET", "/health", None, {"authorization": ""})[0] == 200


def test_the_log_has_what_was_measured_and_nothing_that_was_said(server: Any, client: Any) -> None:
    client.chat.completions.create(model="parrot", messages=[{"role": "user", "content": "a secret thing"}])
    status, answer = ask(server, "GET", "/api/analytics?days=1")
    assert status == 200
    last = answer["recent"][0]
    assert (last["kind"], last["model"], last["predicted_n"]) == ("chat", "parrot", len("a secret thing"))
    assert last["ttft_ms"] > 0
    assert answer["summary"]["queries"] >= 1
    assert "secret thing" not in json.dumps(answer)


def test_a_document_is_added_read_and_removed(server: Any) -> None:
    assert ask(server, "PUT", "/api/documents/file/notes/tide.txt", b"High tide is at noon on Fridays.")[0] == 200
    wait_for_documents(server)
    found = ask(server, "GET", "/api/documents/search?q=when%20is%20high%20tide")[1]["passages"]
    assert found[0]["path"] == "notes/tide.txt"
    assert ask(server, "DELETE", "/api/documents/file/notes/tide.txt")[0] == 200
    assert "notes/tide.txt" not in [one["path"] for one in ask(server, "GET", "/api/documents")[1]["documents"]]
    assert ask(server, "DELETE", "/api/documents/file/notes/tide.txt")[0] == 404


@pytest.mark.parametrize(
    "name", ["..%2Fescape.txt", "a/../../escape.txt", ".hidden.txt", "run.sh", "%2Fetc%2Fx.txt", "a%00.txt"]
)
def test_a_document_cannot_be_put_elsewhere(server: Any, name: str) -> None:
    assert ask(server, "PUT", f"/api/documents/file/{name}", b"x")[0] in (400, 404, 405, 422)
    assert not list(server.folder.rglob("escape.txt"))


def wait_for_documents(server: Any) -> None:
    """Until the background has read everything."""
    for _ in range(600):
        state = ask(server, "GET", "/api/documents")[1]
        if not state["indexing"]["running"] and len(state["documents"]) >= 4:
            return
    raise AssertionError(state)


def test_what_may_be_left_out_may_be_null(server: Any) -> None:
    names = "stream stream_options max_tokens temperature stop seed tools tool_choice response_format logit_bias logprobs"
    others = "user metadata store parallel_tool_calls reasoning_effort service_tier"
    nothing = dict.fromkeys(f"{names} {others}".split())
    said = {"role": "user", "content": "hello", "name": None, "tool_calls": None, "tool_call_id": None, "refusal": None}
    status, answer = ask(server, "POST", "/v1/chat/completions", {"model": None, "messages": [said], **nothing})
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "hello")
    assert ask(server, "POST", "/v1/embeddings", {"input": "x", "model": None, "encoding_format": None})[0] == 200


def test_numbers_are_as_large_as_one_likes(client: Any) -> None:
    asked = {"model": "parrot", "messages": [{"role": "user", "content": "as before"}]}
    for more in (
        {"max_tokens": 2**62},
        {"max_completion_tokens": 10**30},
        {"seed": 2**63 - 1},
        {"seed": -(2**63)},
        {"stop": [""]},
    ):
        assert client.chat.completions.create(**asked, **more).choices[0].message.content == "as before", more


def test_the_helpers_of_the_client_work_as_well(client: Any) -> None:
    class Person(pydantic.BaseModel):
        name: str
        age: int

    asked = {"model": "parrot", "messages": [{"role": "user", "content": "one two"}]}
    assert isinstance(client.chat.completions.parse(**asked, response_format=Person).choices[0].message.parsed, Person)
    with client.chat.completions.stream(**asked) as stream:
        said = "".join(event.delta for event in stream if event.type == "content.delta")
        assert said == stream.get_final_completion().choices[0].message.content == "one two"


def test_what_a_client_sends_back_of_a_call_is_taken(client: Any) -> None:
    asked = {"model": "parrot", "tools": [WEATHER]}
    said: list[Any] = [{"role": "user", "content": "weather in Ghent?"}]
    called = client.chat.completions.create(**asked, messages=said, tool_choice="required").choices[0].message
    said += [called, {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "it rains"}]
    assert client.chat.completions.create(**asked, messages=said).choices[0].message.content == "it rains"


def test_a_folder_of_the_name_of_a_document_is_no_document(server: Any) -> None:
    (server.folder / "documents/folder.txt").mkdir()
    for method in ("PUT", "DELETE"):
        status, answer = ask(server, method, "/api/documents/file/folder.txt", b"x")
        assert status in (400, 422) and "folder.txt" in answer["error"]
