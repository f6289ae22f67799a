"""Pictures, clips and snapshots for the pages: by a camera's name or an event's number, never by a path."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.requests import Request

from edgekit.apps.vision.watching.camera import CLIPS, SNAPSHOTS
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.web.live import CONTENT_TYPE, Broadcast, multipart
from edgekit.core.errors import NotFound

PREFIX = "/media"
STILL_S = 1.5
KEPT = {"cache-control": "private, max-age=600"}
"""A snapshot never changes, and lists show many again and again."""
View = Literal["marked", "plain"]


def router(site: SiteWatch) -> APIRouter:
    """Live pictures of cameras, clips and snapshots of events; clips answer to range requests, so that one can seek in them."""
    routes = APIRouter(tags=["pictures"])

    @routes.get("/cameras/{name}/live", summary="A camera, live (MJPEG)", response_class=StreamingResponse)
    async def live(request: Request, name: str, view: View = "marked") -> StreamingResponse:
        return StreamingResponse(multipart(_broadcast(site, name, view), request.state.alive), media_type=CONTENT_TYPE)

    @routes.get("/cameras/{name}/picture", summary="A camera's next picture (JPEG)", response_class=Response)
    async def picture(name: str, view: View = "marked") -> Response:
        jpeg = await _broadcast(site, name, view).next_within(STILL_S)
        if jpeg is None:
            raise NotFound(f"the camera {name!r} has no picture yet", "is it connected?")
        return Response(jpeg, media_type="image/jpeg")

    @routes.get("/events/{number}/clip", summary="An event's clip (MP4)", response_class=FileResponse)
    def clip(number: int, download: bool = False) -> FileResponse:
        path = media_file(site.folder / CLIPS, site.store.get(number).media.clip)
        return FileResponse(path, media_type="video/mp4", filename=path.name if download else None)

    @routes.get("/events/{number}/snapshot", summary="The picture that began an event (JPEG)", response_class=FileResponse)
    def snapshot(number: int) -> FileResponse:
        path = media_file(site.folder / SNAPSHOTS, site.store.get(number).media.snapshot)
        return FileResponse(path, media_type="image/jpeg", headers=KEPT)

    return routes


def _broadcast(site: SiteWatch, name: str, view: View) -> Broadcast:
    showing = site.camera(name).showing
    return showing.marked if view == "marked" else showing.plain


def media_file(folder: Path, name: str) -> Path:
    """The file of that name in the folder and nowhere else, whatever stands in the database. Raises `NotFound`."""
    path = folder / name
    if not name or Path(name).name != name or not path.is_file() or path.resolve().parent != folder.resolve():
        raise NotFound("there is no such recording", "it may have been deleted, being too old")
    return path
