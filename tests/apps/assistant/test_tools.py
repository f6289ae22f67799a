"""Tool calls in what a model wrote: read where they are some, and left as text where not."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("fastapi", reason="the assistant's server needs the extra web")

from edgekit.apps.assistant.api.tools import calls_in

TOOLS = [{"type": "function", "function": {"name": "weather"}}]
CALL = {"name": "weather", "arguments": {"city": "Bern"}}


@pytest.mark.parametrize(
    "text", [json.dumps(CALL), f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>", "<|python_tag|>" + json.dumps(CALL)]
)
def test_a_call_is_read_however_it_is_written(text: str) -> None:
    (call,) = calls_in(text, TOOLS)
    assert (call["type"], call["function"]) == ("function", {"name": "weather", "arguments": '{"city": "Bern"}'})


@pytest.mark.parametrize(
    "name", [["weather"], {"weather": 1}, None, 7, "another"], ids=["a list", "an object", "null", "a number", "another"]
)
def test_a_call_of_what_was_not_offered_is_text(name: object) -> None:
    assert calls_in(json.dumps({"name": name, "arguments": {}}), TOOLS) == []


@pytest.mark.parametrize(
    "text", ["", "It rains.", "{", "[" * 100_000, "7", f"<tool_call>{json.dumps(CALL)}</tool_call><tool_call>{{x}}</tool_call>"]
)
def test_what_is_no_call_is_text(text: str) -> None:
    assert calls_in(text, TOOLS) == []
