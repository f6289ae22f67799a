"""Hearing a question and reading an answer aloud, as the page asks for them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from edgekit.apps.assistant.api.bridge import Door
from edgekit.apps.assistant.voice import Voice

PLACES = 4
"""Recordings and answers that may wait; they are heard and spoken one after the other."""


class Said(BaseModel):
    """A text to be spoken."""

    text: str


def router(voice: Voice) -> APIRouter:
    """The routes, for the prefix `/api/voice`."""
    routes, door = APIRouter(tags=["voice"]), Door(PLACES)

    @routes.get("", summary="What hears and what speaks, or what to fetch for it")
    def described() -> dict[str, Any]:
        return voice.described()

    @routes.post("/transcription", summary="The text of a recording: the body is 16-bit mono WAV, 16,000 samples a second")
    async def transcription(request: HttpRequest) -> dict[str, Any]:
        body = await request.body()
        with door.place():
            return await run_in_threadpool(voice.hear, body)

    @routes.post("/speech", summary="A text, spoken: a WAV file")
    async def speech(said: Said) -> Response:
        with door.place():
            return Response(await run_in_threadpool(voice.say, said.text), media_type="audio/wav")

    return routes
