"""What clients of OpenAI's API send, read and checked. Fields that only some servers know are passed over, as servers do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from edgekit.apps.assistant.api.errors import Refused
from edgekit.runtimes.text import Message, Role, Sampling

MAX_TOKENS = 512
MESSAGES, TEXTS, STOPS = 1000, 512, 16
MOST = 2**31 - 1
"""Engines count in 32 bits: what is larger would come out as something else."""


class _Part(msgspec.Struct, kw_only=True):
    type: str
    text: str | None = None


class _Message(msgspec.Struct, kw_only=True):
    role: str
    content: str | list[_Part] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class _Common(msgspec.Struct, kw_only=True):
    """What may be left out may also be null: clients send either."""

    model: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    grammar: str | None = None
    timeout_s: float | None = None
    """Not OpenAI's: seconds until the answer is cut off."""


class ChatRequest(_Common, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: list[_Message]
    max_completion_tokens: int | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    logprobs: bool | None = None


class CompletionRequest(_Common, kw_only=True):
    """`POST /v1/completions`."""

    prompt: str | list[str]
    echo: bool | None = None
    suffix: str | None = None
    logprobs: int | None = None


class EmbeddingRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/embeddings`."""

    input: str | list[str | int | list[int]]
    """Texts, or texts as tokens."""
    model: str | None = None
    encoding_format: str | None = None
    dimensions: int | None = None


def parsed(data: bytes, kind: type[Any]) -> Any:
    """The request. Raises `Refused` with the field that is wrong."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as exc:
        _, _, where = str(exc).partition(" - at `$")
        raise Refused(str(exc), param=where.strip(".`")) from exc
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise Refused(f"the body is no JSON: {exc}") from exc


def messages_of(request: ChatRequest) -> tuple[Message, ...]:
    """The conversation. Raises `Refused` for roles and contents that a language model has no use for."""
    if not 0 < len(request.messages) <= MESSAGES:
        raise Refused(f"{len(request.messages)} messages; 1 to {MESSAGES} are taken", param="messages")
    return tuple(_message(at, one) for at, one in enumerate(request.messages))


def _message(at: int, given: _Message) -> Message:
    roles: Mapping[str, Role] = {
        "system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool",
    }  # fmt: skip
    if given.role not in roles:
        raise Refused(f"there is no role {given.role[:40]!r}", param=f"messages[{at}].role")
    content = given.content or ""
    if not isinstance(content, str):
        odd = next((part.type for part in content if part.type != "text"), None)
        if odd is not None:
            raise Refused(f"a part of type {odd[:40]!r} cannot be read: only text", param=f"messages[{at}].content")
        content = "".join(part.text or "" for part in content)
    return Message(
        role=roles[given.role],
        content=content,
        name=given.name or "",
        tool_calls=tuple(given.tool_calls or ()),
        tool_call_id=given.tool_call_id or "",
    )


def sampling_of(request: ChatRequest | CompletionRequest, schema: Mapping[str, Any] | None = None) -> Sampling:
    """How the answer is chosen; what the request does not say is as `Sampling` has it. Raises `Refused`."""
    if request.n not in (None, 1):
        raise Refused("one answer is given at a time: n must be 1", param="n")
    given = {
        name: getattr(request, name)
        for name in ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "grammar")
        if getattr(request, name) is not None
    }
    _check_ranges(request)
    limit = getattr(request, "max_completion_tokens", None) or request.max_tokens or MAX_TOKENS
    return Sampling(
        max_tokens=min(limit, MOST),
        seed=-1 if request.seed is None or request.seed < 0 else request.seed % MOST,
        stop=_stops(request.stop),
        logit_bias=_bias(request.logit_bias),
        json_schema=schema,
        **given,
    )


def _stops(given: str | list[str] | None) -> tuple[str, ...]:
    """The texts that end an answer; empty ones end none."""
    stops = (given,) if isinstance(given, str) else tuple(given or ())
    if len(stops) > STOPS:
        raise Refused(f"{STOPS} stop texts are taken at most", param="stop")
    return tuple(stop for stop in stops if stop)


def _check_ranges(request: _Common) -> None:
    ranges = {
        "temperature": (0, 2),
        "top_p": (0, 1),
        "top_k": (-1, MOST),
        "min_p": (0, 1),
        "presence_penalty": (-2, 2),
        "frequency_penalty": (-2, 2),
    }
    for name, (low, high) in ranges.items():
        value = getattr(request, name)
        if value is not None and not low <= value <= high:
            raise Refused(f"{name} is {value:g}; it may be {low} to {high}", param=name)
    for name in ("max_tokens", "max_completion_tokens"):
        value = getattr(request, name, None)
        if value is not None and value < 1:
            raise Refused(f"{name} is {value}; it may be 1 and more", param=name)


def _bias(given: Mapping[str, float] | None) -> dict[int, float]:
    try:
        biases = {int(token): bias for token, bias in (given or {}).items()}
    except ValueError as exc:
        raise Refused("the keys of logit_bias are token ids", param="logit_bias") from exc
    if odd := next((bias for bias in biases.values() if not -100 <= bias <= 100), None):
        raise Refused(f"a logit_bias is {odd:g}; it may be -100 to 100", param="logit_bias")
    return biases


def schema_of(request: ChatRequest) -> Mapping[str, Any] | None:
    """The JSON schema that the answer is held to; None for plain text. Raises `Refused`."""
    wanted = request.response_format or {"type": "text"}
    kind = wanted.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    described = wanted.get("json_schema") if kind == "json_schema" else None
    schema = described.get("schema") if isinstance(described, dict) else None
    if not isinstance(schema, dict):
        raise Refused("response_format is text, json_object, or json_schema with a schema", param="response_format")
    return schema
