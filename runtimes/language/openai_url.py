"""A server elsewhere that speaks OpenAI's API: llama-server, ollama, a TensorRT server on a Jetson. What is asked leaves this machine.

The address is that of the API, such as `http://host:8080/v1`; `#NAME` behind it chooses one of the server's models.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError, Unsupported
from edgekit.runtimes.base import Probe
from edgekit.runtimes.language._grammar import grammar_of
from edgekit.runtimes.language._http import Refused, Server, Unreachable
from edgekit.runtimes.text import (
    DEFAULTS,
    BadStream,
    Done,
    EngineLost,
    Piece,
    Reason,
    RemoteRefused,
    SavedState,
    TextEvent,
    TextModel,
    TextOptions,
    TextRequest,
    TextRuntime,
    TextSession,
    Timings,
)

NAME = "openai_url"
EXAMPLE = "such as http://localhost:8080/v1"
REACH_S, SILENCE_S = 10.0, 60.0
"""How long reaching a server may take, and its silence afterwards: it may be reading a long prompt."""
MOST = 2**53
"""Larger is no count, and no time."""
RETRYABLE = frozenset({0, 408, 409, 425, 429, 500, 502, 503, 504})
_REASONS: Mapping[str, Reason] = {"length": "length"}


class RemoteSession:
    """One model of one server."""

    def __init__(self, address: str, options: TextOptions) -> None:
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port
        except ValueError as exc:
            raise InputError(f"{address!r} is not the address of an API: {exc}", EXAMPLE) from exc
        if parts.scheme not in ("http", "https") or not host:
            raise InputError(f"{address!r} is not the address of an API", EXAMPLE)
        self._root = parts.path.rstrip("/")
        self._address = f"{parts.scheme}://{parts.netloc}{self._root}"
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._server = Server(lambda: kind(host, port, timeout=REACH_S), _key(options.key), silence_s=SILENCE_S)
        name = parts.fragment or self._first_model()
        self.model = TextModel(name=name, engine=NAME, context=options.context, has_template=True, remote=True)

    def generate(self, request: TextRequest, *, cancel: threading.Event | None = None) -> Iterator[TextEvent]:
        """See `TextSession`. Raises `RemoteRefused`, `BadStream`, and `EngineLost` for a server that hangs up in mid-answer."""
        stop = cancel or threading.Event()
        ends_at = time.monotonic() + request.deadline_s if request.deadline_s is not None else float("inf")
        path = "/chat/completions" if request.messages else "/completions"
        stream = self._server.stream(self._root + path, _body(self.model.name, request), stop, ends_at)
        clock = _Clock()
        finish = ""
        with _complaints(self._address):
            for event in stream:
                clock.see(event)
                finish = _finish(event) or finish
                if text := _text(event):
                    clock.said()
                    yield Piece(text=text)
        if stream.interrupted:
            yield Done(reason="cancelled" if stop.is_set() else "deadline", timings=clock.timings())
            return
        if not (finish or stream.finished):
            raise EngineLost(f"{self._address} hung up in mid-answer", "ask again")
        yield Done(reason=_REASONS.get(finish, "stop"), timings=clock.timings())

    def render(self, request: TextRequest) -> str:
        """The template is the server's: the messages, one after the other."""
        return request.prompt or "".join(f"{message.role}: {message.content}\n" for message in request.messages)

    def tokenize(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """The API has no way to ask."""
        raise Unsupported("an OpenAI-compatible API does not say how it splits text into tokens")

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The API has no way to ask."""
        raise Unsupported("an OpenAI-compatible API does not turn tokens into text")

    def embed(self, texts: Sequence[str]) -> NDArray[Any]:
        """Rows of length 1."""
        with _complaints(self._address):
            answer = self._server.ask(f"{self._root}/embeddings", {"model": self.model.name, "input": list(texts)})
        try:
            rows = np.array([row["embedding"] for row in answer["data"]], np.float32).reshape(len(texts), -1)
        except (KeyError, TypeError, ValueError) as exc:
            raise BadStream(f"{self._address} answered with something that is no embedding: {exc}") from exc
        lengths: NDArray[Any] = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: NDArray[Any] = rows / np.where(lengths, lengths, 1)
        return unit

    def save(self, path: Path) -> SavedState:
        """The server's memory is the server's."""
        raise Unsupported("the state of a conversation on another machine cannot be saved here")

    def restore(self, path: Path) -> int:
        """The server's memory is the server's."""
        raise Unsupported("the state of a conversation on another machine cannot be restored from here")

    def close(self) -> None:
        """Nothing is held open."""

    def _first_model(self) -> str:
        with _complaints(self._address):
            answer = self._server.get(f"{self._root}/models")
        try:
            return str(answer["data"][0]["id"])
        except (KeyError, IndexError, TypeError) as exc:
            raise BadStream(f"{self._address} lists no model", "name one: ADDRESS#MODEL") from exc


class _Clock:
    """Timings: the server's own when it sends them (llama-server does), else what was seen from here."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._first = 0.0
        self._pieces = 0
        self._usage: Mapping[str, float] = {}
        self._own: Mapping[str, float] = {}

    def see(self, event: Any) -> None:
        if not isinstance(event, Mapping):
            raise ValueError(f"{event!r} is no event")
        if "error" in event:
            raise Refused(str(event["error"]), 200)
        self._usage = _numbers(event.get("usage")) or self._usage
        self._own = _numbers(event.get("timings")) or self._own

    def said(self) -> None:
        self._first = self._first or time.perf_counter()
        self._pieces += 1

    def timings(self) -> Timings:
        now = time.perf_counter()
        first = self._first or now
        if self._own:
            counts = {name: int(self._own.get(name, 0)) for name in ("cache_n", "prompt_n", "predicted_n")}
            return Timings(**counts, prompt_ms=self._own.get("prompt_ms", 0.0), predicted_ms=self._own.get("predicted_ms", 0.0))
        cached = int(self._usage.get("cached_tokens", 0))
        return Timings(
            cache_n=cached,
            prompt_n=max(0, int(self._usage.get("prompt_tokens", 0)) - cached),
            prompt_ms=1000 * (first - self._began),
            predicted_n=int(self._usage.get("completion_tokens", self._pieces)),
            predicted_ms=1000 * (now - first),
        )


def _numbers(given: Any) -> dict[str, float]:
    """What a server counted, and what stands in it for the prompt; what is no number is nothing."""
    if not isinstance(given, Mapping):
        return {}
    every = {**_numbers(given.get("prompt_tokens_details")), **given}
    return {str(name): value for name, value in every.items() if type(value) in (int, float) and 0 <= value < MOST}


def _key(given: str) -> str:
    """The key as a header takes it. Raises `InputError` for another one, which is not repeated."""
    key = given.strip()
    if not (key.isascii() and key.isprintable()):
        raise InputError("the key of the API has characters that no key has", "is it the key, and all of it?")
    return key


def _body(model: str, request: TextRequest) -> dict[str, Any]:
    """The request in OpenAI's words; what only some servers know is sent only when it is asked for."""
    wanted = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": wanted.max_tokens,
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
        "presence_penalty": wanted.presence_penalty,
        "frequency_penalty": wanted.frequency_penalty,
    }
    body |= (
        {"messages": [message.as_json() for message in request.messages]} if request.messages else {"prompt": request.prompt}
    )
    if request.tools:
        body["tools"] = [dict(tool) for tool in request.tools]
    if wanted.stop:
        body["stop"] = list(wanted.stop)
    if wanted.seed >= 0:
        body["seed"] = wanted.seed
    if wanted.logit_bias:
        body["logit_bias"] = {str(token): bias for token, bias in wanted.logit_bias.items()}
    if wanted.json_schema is not None:
        schema = {"name": "answer", "schema": dict(wanted.json_schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted.grammar:
        body["grammar"] = grammar_of(wanted)
    if request.template_options:
        body["chat_template_kwargs"] = dict(request.template_options)
    return body


def _text(event: Any) -> str:
    """The text an event brings; tool calls are written as the text local models write."""
    choices = event.get("choices") or [{}]
    choice = choices[0]
    found = choice.get("text") or (choice.get("delta") or {}).get("content") or ""
    if not isinstance(found, str):
        raise ValueError(f"{found!r} is no text")
    return found.encode("utf-8", errors="replace").decode()  # halves of characters are in no text


def _finish(event: Any) -> str:
    choices = event.get("choices") or [{}]
    return str(choices[0].get("finish_reason") or "")


@contextmanager
def _complaints(address: str) -> Iterator[None]:
    """What goes wrong with a server elsewhere, as one of our errors."""
    try:
        yield
    except Refused as exc:
        hint = "is the key right?" if exc.status in (401, 403) else ""
        raise RemoteRefused(
            f"{address} answered {exc.status}: {exc}", hint, status=exc.status, retryable=exc.status in RETRYABLE
        ) from exc
    except Unreachable as exc:
        raise RemoteRefused(f"{address} cannot be reached: {exc}", "is it running?", status=0, retryable=True) from exc
    except (ValueError, AttributeError, TypeError, KeyError, IndexError, RecursionError) as exc:
        raise BadStream(f"{address} answered with something that is no stream of this API: {exc}") from exc


class _OpenAIUrl:
    name = NAME

    def probe(self) -> Probe:
        """Needs nothing but a server to ask."""
        return Probe(ok=True, version="1")

    def open(self, model: Path | str, options: TextOptions = DEFAULTS) -> TextSession:
        """The server at that address."""
        return RemoteSession(str(model), options)


runtime: TextRuntime = _OpenAIUrl()
