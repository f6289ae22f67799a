"""Answers in OpenAI's shapes."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgekit.apps.assistant.assistant import Answered, timings_of
from edgekit.apps.assistant.generation import Measured

FINISH: Mapping[str, str] = {"length": "length", "deadline": "length", "cancelled": "stop", "stop": "stop"}
LAST = b"data: [DONE]\n\n"


def event(value: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def comment(text: str) -> bytes:
    """A line that clients pass over. It stays one: what stands in it may be the words of a server elsewhere."""
    return f": {' '.join(text.split())}\n\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What is the same in all parts of one answer."""

    model: str
    is_chat: bool
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:24])
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, text: str, finish: str, calls: Sequence[Mapping[str, Any]], extra: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request without `stream`."""
        if self.is_chat:
            message: dict[str, Any] = {"role": "assistant", "content": None if calls else text, "refusal": None}
            if calls:
                message["tool_calls"] = list(calls)
            choice: dict[str, Any] = {"message": message}
        else:
            choice = {"text": text}
        choice |= {"index": 0, "finish_reason": finish, "logprobs": None}
        return self._head("chat.completion" if self.is_chat else "text_completion") | {"choices": [choice]} | dict(extra)

    def part(self, delta: Mapping[str, Any], finish: str | None = None, **extra: Any) -> bytes:
        """One event of a stream."""
        choice = {"delta": delta} if self.is_chat else {"text": delta.get("content", "")}
        choice |= {"index": 0, "finish_reason": finish, "logprobs": None}
        kind = "chat.completion.chunk" if self.is_chat else "text_completion"
        return event(self._head(kind) | {"choices": [choice]} | extra)

    def usage(self, extra: Mapping[str, Any]) -> bytes:
        """The last event of a stream whose `stream_options` ask for the usage."""
        kind = "chat.completion.chunk" if self.is_chat else "text_completion"
        return event(self._head(kind) | {"choices": []} | dict(extra))

    def _head(self, kind: str) -> dict[str, Any]:
        prefix = "chatcmpl" if self.is_chat else "cmpl"
        return {"id": f"{prefix}-{self.id}", "object": kind, "created": self.created, "model": self.model}


def usage_of(timings: Mapping[str, Any]) -> dict[str, Any]:
    """`usage`, out of llama-server's timings."""
    cached = int(timings.get("cache_n", 0))
    prompt, answer = cached + int(timings.get("prompt_n", 0)), int(timings.get("predicted_n", 0))
    total = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
    return total | {"prompt_tokens_details": {"cached_tokens": cached}}


def extra_of(measured: Measured) -> dict[str, Any]:
    """What stands beside an answer of a model: usage, timings, and the badge of a fallback."""
    timings = timings_of(measured)
    badge = (
        {"url": measured.badge.url, "model": measured.badge.model, "reason": measured.badge.reason} if measured.badge else None
    )
    return {"usage": usage_of(timings), "timings": timings} | ({"fallback": badge} if badge else {})


def extra_of_answer(answer: Answered) -> dict[str, Any]:
    """What stands beside an answer from documents: its citations as well."""
    known = answer.as_json()
    rest = {name: known[name] for name in ("citations", "mode", "unsupported", "dropped", "notes", "source", "fallback")}
    return {"usage": usage_of(answer.timings), "timings": answer.timings} | rest
