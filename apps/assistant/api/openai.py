"""OpenAI's API: `/v1/models`, `/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`.

The model `documents` answers from the user's documents, with citations; the other one is the language model as it is.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import Request as HttpRequest

from edgekit.apps.assistant.api import requests, tools
from edgekit.apps.assistant.api.bridge import Door, events, while_connected
from edgekit.apps.assistant.api.embeddings import embedded
from edgekit.apps.assistant.api.errors import Refused, described
from edgekit.apps.assistant.api.shapes import FINISH, LAST, Envelope, comment, event, extra_of, extra_of_answer
from edgekit.apps.assistant.assistant import FROM_DOCUMENTS, Answered, Assistant, Found
from edgekit.apps.assistant.generation import NO_MODEL, NO_MODEL_HINT, Measured, Switched, Wanted
from edgekit.core.errors import EdgekitError, NotFound, Unsupported
from edgekit.runtimes.text import Done, Message, Piece, TextRequest, Waiting

DOCUMENTS = "documents"
STARTED = int(time.time())


def router(assistant: Assistant, door: Door) -> APIRouter:
    """The routes, for the prefix `/v1`."""
    routes = APIRouter(tags=["OpenAI"])

    @routes.get("/models", summary="The models that answer")
    async def models() -> JSONResponse:
        return JSONResponse({"object": "list", "data": [_model(name) for name in names(assistant)]})

    @routes.get("/models/{name:path}", summary="One model")
    async def model(name: str) -> Response:
        if name not in names(assistant):
            return _error(NotFound(f"there is no model {name[:80]!r}"))
        return JSONResponse(_model(name))

    @routes.post("/chat/completions", summary="The next message of a conversation")
    async def chat(request: HttpRequest) -> Response:
        return await _guarded(lambda data: _chat(assistant, data), request, door)

    @routes.post("/completions", summary="The continuation of a text")
    async def completions(request: HttpRequest) -> Response:
        return await _guarded(lambda data: _completion(assistant, data), request, door)

    @routes.post("/embeddings", summary="Texts as vectors")
    async def embeddings(request: HttpRequest) -> Response:
        try:
            asked = requests.parsed(await request.body(), requests.EmbeddingRequest)
            with door.place():
                return JSONResponse(await run_in_threadpool(embedded, assistant, asked))
        except EdgekitError as exc:
            return _error(exc)

    return routes


def names(assistant: Assistant) -> tuple[str, ...]:
    """The models there are, the one that answers without being named first."""
    engine = (assistant.generator.engine.name,) if assistant.generator.engine else ()
    return (*engine, *((DOCUMENTS,) if assistant.library else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A request, ready to be worked on: `run` yields pieces of text and comments, then the rest of the answer."""

    envelope: Envelope
    stream: bool
    with_usage: bool
    run: Callable[[threading.Event], Generator[_Step, None, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What happened: some text, something to remark, or the end with what stands beside the answer."""

    text: str = ""
    remark: str = ""
    finish: str = ""
    calls: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] | None = None
    start_again: bool = False


async def _guarded(read: Callable[[bytes], _Job], request: HttpRequest, door: Door) -> Response:
    try:
        job = read(await request.body())
        before = door.enter()
    except EdgekitError as exc:
        return _error(exc)
    steps = events(job.run, door.leave)
    headers = {"x-queue-position": str(before)}
    return await _streamed(job, steps, headers) if job.stream else await _collected(job, steps, request.receive, headers)


async def _collected(
    job: _Job, steps: AsyncGenerator[_Step, None], receive: Callable[[], Awaitable[Any]], headers: Mapping[str, str]
) -> Response:
    try:
        found = await while_connected(receive, steps)
    except EdgekitError as exc:
        return _error(exc)
    if not found:
        return Response(status_code=499)  # nobody reads it
    again = max((at for at, step in enumerate(found) if step.start_again), default=0)
    text, end = "".join(step.text for step in found[again:]), found[-1]
    return JSONResponse(job.envelope.whole(text, end.finish, end.calls, end.extra or {}), headers=dict(headers))


async def _streamed(job: _Job, steps: AsyncGenerator[_Step, None], headers: Mapping[str, str]) -> Response:
    """The stream, once its first step is there: what fails before has a status of its own."""
    try:
        first = await anext(steps)
    except EdgekitError as exc:
        return _error(exc)

    async def body() -> AsyncGenerator[bytes, None]:
        try:
            yield job.envelope.part({"role": "assistant", "content": ""}) if job.envelope.is_chat else comment("")
            for part in _parts(job, first):
                yield part
            async for step in steps:
                for part in _parts(job, step):
                    yield part
            yield LAST
        except EdgekitError as exc:
            yield event(described(exc)[1])
        finally:
            await steps.aclose()

    return StreamingResponse(body(), media_type="text/event-stream", headers={"cache-control": "no-store", **headers})


def _parts(job: _Job, step: _Step) -> list[bytes]:
    envelope, extra = job.envelope, step.extra or {}
    parts = [comment(step.remark)] if step.remark else []
    if step.text:
        parts.append(envelope.part({"content": step.text}))
    if step.calls:
        parts.append(envelope.part({"tool_calls": [{"index": at, **call} for at, call in enumerate(step.calls)]}))
    if step.finish:
        beside = {name: value for name, value in extra.items() if name != "usage"}
        parts.append(envelope.part({}, step.finish, **beside))
    if step.finish and job.with_usage:
        parts.append(envelope.usage({"usage": extra["usage"]}))
    return parts


def _chat(assistant: Assistant, data: bytes) -> _Job:
    asked = requests.parsed(data, requests.ChatRequest)
    name = _named(assistant, asked.model)
    said = requests.messages_of(asked)
    if asked.logprobs:
        raise Refused("logprobs is not supported", param="logprobs")
    offered = tools.offered(asked)
    schema = requests.schema_of(asked) if not offered else (tools.forced_schema(asked, offered) or requests.schema_of(asked))
    sampling = requests.sampling_of(asked, schema)
    if name == DOCUMENTS:
        run = _from_documents(assistant, asked, said, offered, sampling)
    else:
        request = TextRequest(messages=said, tools=offered, sampling=sampling, deadline_s=asked.timeout_s)
        run = functools.partial(_generated, assistant, "chat", request)
    return _job(asked, name, run, is_chat=True)


def _completion(assistant: Assistant, data: bytes) -> _Job:
    asked = requests.parsed(data, requests.CompletionRequest)
    name = _named(assistant, asked.model)
    prompts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
    if len(prompts) != 1:
        raise Refused("one prompt is continued at a time", param="prompt")
    for field in ("echo", "suffix", "logprobs"):
        if getattr(asked, field):
            raise Refused(f"{field} is not supported", param=field)
    if name == DOCUMENTS:
        raise Unsupported(f"the model {DOCUMENTS!r} answers questions: use /v1/chat/completions")
    request = TextRequest(prompt=prompts[0], sampling=requests.sampling_of(asked), deadline_s=asked.timeout_s)
    return _job(asked, name, functools.partial(_generated, assistant, "completion", request), is_chat=False)


def _job(asked: Any, name: str, run: Callable[[threading.Event], Generator[_Step, None, None]], *, is_chat: bool) -> _Job:
    with_usage = bool((asked.stream_options or {}).get("include_usage"))
    return _Job(envelope=Envelope(model=name, is_chat=is_chat), stream=bool(asked.stream), with_usage=with_usage, run=run)


def _generated(assistant: Assistant, kind: str, request: TextRequest, cancel: threading.Event) -> Generator[_Step, None, None]:
    """The language model as it is. With tools its text is held back, since it may turn out to be a call."""
    measured, held = Measured(), ""
    try:
        for happened in assistant.generator.stream(Wanted(lambda _: request, cancel, elsewhere=request), measured):
            if isinstance(happened, Piece) and request.tools:
                held += happened.text
            elif isinstance(happened, Switched):
                held = ""
                yield _Step(remark=f"fallback: {happened.reason}", start_again=True)
            elif not isinstance(happened, Done):
                yield _step(happened)
    finally:
        assistant.record(kind, measured)
    calls = tuple(tools.calls_in(held, request.tools)) if request.tools else ()
    finish = "tool_calls" if calls else FINISH[measured.outcome]
    yield _Step(text="" if calls else held, calls=calls, finish=finish, extra=extra_of(measured))


def _from_documents(
    assistant: Assistant, asked: requests.ChatRequest, said: tuple[Message, ...], offered: tuple[Any, ...], sampling: Any
) -> Callable[[threading.Event], Generator[_Step, None, None]]:
    if offered:
        raise Unsupported(f"the model {DOCUMENTS!r} calls no tools: what stands in documents must not set anything going")
    if said[-1].role != "user":
        raise Refused("the last message must be the user's question", param="messages")
    history = tuple(message for message in said[:-1] if message.role in ("user", "assistant"))
    if asked.temperature is None:
        sampling = replace(sampling, temperature=FROM_DOCUMENTS.temperature)

    def run(cancel: threading.Event) -> Generator[_Step, None, None]:
        spoke = False
        stream = assistant.ask(said[-1].content, history, cancel=cancel, sampling=sampling, deadline_s=asked.timeout_s)
        for happened in stream:
            if isinstance(happened, Answered):
                text = "" if spoke else happened.text
                yield _Step(text=text, finish=FINISH[happened.reason], extra=extra_of_answer(happened))
            elif not isinstance(happened, Found):
                spoke = spoke or isinstance(happened, Piece)
                yield _step(happened)

    return run


def _step(event: Waiting | Piece | Switched) -> _Step:
    if isinstance(event, Piece):
        return _Step(text=event.text)
    if isinstance(event, Waiting):
        return _Step(remark=f"queued, position {event.position}")
    return _Step(remark=f"fallback: {event.reason}", start_again=True)


def _named(assistant: Assistant, name: str | None) -> str:
    """The model that is meant. Raises `NotFound`; `Unsupported` when there is none at all."""
    known = names(assistant)
    if not known:
        raise Unsupported(NO_MODEL, NO_MODEL_HINT)
    if name and name not in known:
        raise NotFound(f"there is no model {name[:80]!r}", f"there are: {', '.join(known)}")
    return name or known[0]


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": STARTED, "owned_by": "edgekit"}


def _error(exc: EdgekitError) -> JSONResponse:
    status, body = described(exc)
    return JSONResponse(body, status_code=status)
