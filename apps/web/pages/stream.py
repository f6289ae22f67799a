"""The route that a live picture comes from."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from starlette.requests import Request

from edgekit.apps.web.live import CONTENT_TYPE, Broadcast, multipart


def add_stream(router: APIRouter, path: str, broadcast: Broadcast) -> None:
    """Serve `broadcast` at `path` of `router`, to each watcher as long as the session lasts."""

    @router.get(path, summary="Live pictures (MJPEG)", response_class=StreamingResponse)
    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(multipart(broadcast, request.state.alive), media_type=CONTENT_TYPE)
