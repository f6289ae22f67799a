"""Tool calls: asked for by a schema, and read from the text in which models write them. Nothing is ever called here."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.apps.assistant.api.errors import Refused
from edgekit.apps.assistant.api.requests import ChatRequest

_TAGGED = re.compile(r"<tool_call>\s*(?P<call>\{.*?\})\s*</tool_call>", re.DOTALL)
_PREFIX = re.compile(r"^\s*(?:<\|python_tag\|>|<\|tool_call\|>)?\s*")


def offered(request: ChatRequest) -> tuple[Mapping[str, Any], ...]:
    """The tools the model may call. Raises `Refused` for what is no function description."""
    if request.tool_choice == "none":
        return ()
    tools = tuple(request.tools or ())
    if not tools and request.tool_choice not in (None, "auto"):
        raise Refused("tool_choice asks for a tool, and there are none", param="tool_choice")
    for at, tool in enumerate(tools):
        if tool.get("type") != "function" or not _name_of(tool):
            raise Refused('a tool is {"type": "function", "function": {"name", …}}', param=f"tools[{at}]")
    return tools


def forced_schema(request: ChatRequest, tools: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The schema of a call, when one must be made; None when the model chooses. Raises `Refused`."""
    choice = request.tool_choice
    if choice in (None, "auto", "none"):
        return None
    wanted = _name_of(choice) if isinstance(choice, dict) else None
    chosen = [tool["function"] for tool in tools if choice == "required" or tool["function"]["name"] == wanted]
    if not chosen:
        raise Refused("tool_choice is none, auto, required, or names one of the tools", param="tool_choice")
    calls = [_call_schema(function) for function in chosen]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def _name_of(tool: Mapping[str, Any]) -> str:
    """The name of a function, as a description of it and a choice have it; empty for what is neither."""
    function = tool.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else ""


def calls_in(text: str, tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The calls that a model wrote, as `<tool_call>{…}</tool_call>` or as one JSON object; none for text, or an unknown tool."""
    names = {tool["function"]["name"] for tool in tools}
    written = [found["call"] for found in _TAGGED.finditer(text)] or [_PREFIX.sub("", text).strip()]
    calls = [call for one in written if (call := _read(one, names))]
    return calls if len(calls) == len(written) else []


def _read(text: str, names: set[str]) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in names:
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    said = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    function = {"name": name, "arguments": said}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}


def _call_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    arguments = function.get("parameters") or {"type": "object", "properties": {}}
    properties = {"name": {"const": function["name"]}, "arguments": arguments}
    return {"type": "object", "properties": properties, "required": ["name", "arguments"], "additionalProperties": False}
