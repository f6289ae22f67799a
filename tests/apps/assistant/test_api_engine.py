"""The official `openai` client, unchanged, against a server with a real engine: the model in the box."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_language import loads

openai = pytest.importorskip("openai", reason="the client of OpenAI's API is not installed")

BOXED = Path(__file__).resolve().parents[3] / "edge" / "models" / "tinylm" / "tinylm.gguf"
GREEDY = {"temperature": 0, "seed": 1}
ASKED = [{"role": "user", "content": "And the king said"}]
PLACE = {"type": "object", "properties": {"town": {"enum": ["Ghent", "Bruges"]}}, "required": ["town"]}


@pytest.fixture(scope="module", params=["xllamacpp", "llama_cpp"])
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., Any]
) -> Iterator[Any]:
    if not BOXED.is_file():
        pytest.skip("runs from a checkout")
    if why := loads(request.param):
        pytest.skip(f"{request.param} is not here: {why}")
    folder = tmp_path_factory.mktemp("engine")
    with (
        serve(folder, "--artifact", str(BOXED), "--runtime", request.param, "--context", "512") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.token, max_retries=0, timeout=120) as made,
    ):
        yield made


def test_a_stream_says_what_the_whole_says_and_ends_with_the_usage(client: Any) -> None:
    (model,) = [one.id for one in client.models.list() if one.id != "documents"]
    asked = {"model": model, "messages": ASKED, "max_tokens": 24, **GREEDY}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content != ""
    assert len([piece for piece in pieces if piece]) > 1, "the first as it comes, then those together that follow within 5 ms"
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens <= 24
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens > 5


def test_a_prompt_that_was_read_before_is_known(client: Any) -> None:
    asked = {"model": "tinylm", "prompt": "The night was long, and the road was longer still.", "max_tokens": 4, **GREEDY}
    client.completions.create(**asked)
    again = client.completions.create(**asked)
    assert again.usage.prompt_tokens_details.cached_tokens >= again.usage.prompt_tokens - 1 > 5


def test_the_models_own_choice_is_held_to_a_schema(client: Any) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}}
    for stream in (False, True):
        answer = client.chat.completions.create(
            model="tinylm", messages=ASKED, response_format=wanted, max_tokens=60, stream=stream, **GREEDY
        )
        if stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
        else:
            text = answer.choices[0].message.content
        assert json.loads(text)["town"] in ("Ghent", "Bruges")


def test_a_tool_that_must_be_called_is_called_with_arguments_that_fit(client: Any) -> None:
    weather = {"type": "function", "function": {"name": "weather", "description": "in a town", "parameters": PLACE}}
    asked = {"model": "tinylm", "messages": ASKED, "tools": [weather], "tool_choice": "required", "max_tokens": 300}
    choice = client.chat.completions.create(**asked, **GREEDY).choices[0]
    (call,) = choice.message.tool_calls
    assert (call.function.name, choice.finish_reason) == ("weather", "tool_calls")
    assert json.loads(call.function.arguments)["town"] in ("Ghent", "Bruges")


@pytest.mark.parametrize("temperature", [0, 1])
def test_a_call_takes_no_more_tokens_than_it_says(client: Any, temperature: float) -> None:
    """A small model that may put any space between does so until its tokens are gone, and the call is none."""
    (model,) = [one.id for one in client.models.list() if one.id != "documents"]
    tool = {"type": "function", "function": {"name": "find", "description": "", "parameters": PLACE}}
    asked = {"model": model, "messages": ASKED, "max_tokens": 60, "temperature": temperature, "seed": 3}
    answer = client.chat.completions.create(**asked, tools=[tool], tool_choice="required")
    (call,) = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments)["town"] in ("Ghent", "Bruges")
    stream = client.chat.completions.create(**asked, tools=[tool], tool_choice="required", stream=True)
    called = [call for chunk in stream if chunk.choices for call in chunk.choices[0].delta.tool_calls or ()]
    assert [call.function.name for call in called] == ["find"]


def test_what_is_asked_for_as_an_object_begins_as_one(client: Any) -> None:
    (model,) = [one.id for one in client.models.list() if one.id != "documents"]
    asked = {"model": model, "messages": ASKED, "max_tokens": 8, **GREEDY}
    answer = client.chat.completions.create(**asked, response_format={"type": "json_object"})
    assert answer.choices[0].message.content.startswith("{")


def test_a_stop_text_ends_what_the_model_says_before_it(client: Any) -> None:
    asked = {"model": "tinylm", "prompt": "And the king said", "max_tokens": 24, **GREEDY}
    whole = client.completions.create(**asked).choices[0].text
    stop = whole.split()[3]
    choice = client.completions.create(**asked, stop=[stop]).choices[0]
    assert choice.text == whole[: whole.index(stop)] and choice.finish_reason == "stop"


def test_alike_texts_have_alike_vectors(client: Any) -> None:
    found = client.embeddings.create(model="tinylm", input=["the king of the land", "the king of the land", "seven ships"])
    first, same, other = ([*row.embedding] for row in found.data)
    assert first == pytest.approx(same, abs=1e-3) and first != pytest.approx(other, abs=1e-2)
    assert sum(value * value for value in first) == pytest.approx(1, abs=1e-3)
