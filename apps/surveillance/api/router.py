"""The routes. Who is asking is known before they are reached; viewers read, admins change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import FileResponse, PlainTextResponse

from edgekit.apps.surveillance.api.answers import camera_out, cursor, event_out, health_out, kept_file, place_of
from edgekit.apps.surveillance.api.shapes import CameraOut, ConfigIn, EventOut, EventsOut, HealthOut, Kept, Severity
from edgekit.apps.vision.recording.retention import PICTURE, SUFFIX
from edgekit.apps.vision.recording.store import Query as Asked
from edgekit.apps.vision.rules.read import parse_site, site_text
from edgekit.apps.vision.watching.camera import CLIPS, SNAPSHOTS
from edgekit.apps.vision.watching.guards import Guards
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.core.errors import InputError
from edgekit.core.files import write_atomically

PREFIX = "/api/surveillance"
Name = Annotated[str, Query(max_length=80)]
Most = Annotated[int, Query(ge=1, le=500)]
Time = Annotated[float | None, Query(ge=0, le=1e11)]


class Which:
    """Which events are asked for."""

    def __init__(
        self,
        camera: Name = "",
        rule: Name = "",
        severity: Severity | None = None,
        since_s: Time = None,
        until_s: Time = None,
        kept: bool = False,
    ) -> None:
        self.asked = Asked(camera=camera, rule=rule, severity=severity or "", since_s=since_s, until_s=until_s, kept=kept)


def router(site: SiteWatch, guards: Guards) -> APIRouter:
    """Everything below `PREFIX` but the site's file."""
    routes = APIRouter(tags=["surveillance"])
    _add_events(routes, site)
    _add_files(routes, site)
    _add_state(routes, site, guards)
    return routes


def _add_events(routes: APIRouter, site: SiteWatch) -> None:
    @routes.get("/events", summary="Events, newest first")
    def events(
        which: Annotated[Which, Depends()], most: Most = 100, before: Annotated[str, Query(max_length=40)] = ""
    ) -> EventsOut:
        found = site.store.find(which.asked, most, after=place_of(before) if before else None)
        return EventsOut(events=[event_out(each, PREFIX) for each in found], before=cursor(found, most))

    @routes.get("/events/{number}", summary="One event")
    def event(number: int) -> EventOut:
        return event_out(site.store.get(number), PREFIX)

    @routes.patch("/events/{number}", summary="Say that an event stays, or no longer")
    def keep(number: int, wanted: Kept) -> EventOut:
        site.store.get(number)
        site.keep(number, wanted.kept)
        return event_out(site.store.get(number), PREFIX)

    @routes.delete("/events/{number}", summary="Delete an event and the files that only it needs", status_code=204)
    def delete(number: int) -> None:
        site.delete(number)


def _add_files(routes: APIRouter, site: SiteWatch) -> None:
    @routes.get("/events/{number}/clip", summary="An event's clip (MP4)", response_class=FileResponse)
    def clip(number: int) -> FileResponse:
        return FileResponse(kept_file(site.folder / CLIPS, site.store.get(number).media.clip, SUFFIX), media_type="video/mp4")

    @routes.get("/events/{number}/snapshot", summary="The picture that began an event (JPEG)", response_class=FileResponse)
    def snapshot(number: int) -> FileResponse:
        path = kept_file(site.folder / SNAPSHOTS, site.store.get(number).media.snapshot, PICTURE)
        return FileResponse(path, media_type="image/jpeg")

    @routes.get("/clips/{name}", summary="A clip by its name (MP4)", response_class=FileResponse)
    def named(name: str) -> FileResponse:
        return FileResponse(kept_file(site.folder / CLIPS, name, SUFFIX), media_type="video/mp4")


def _add_state(routes: APIRouter, site: SiteWatch, guards: Guards) -> None:
    @routes.get("/cameras", summary="The cameras and how they are doing")
    def cameras() -> list[CameraOut]:
        return [camera_out(watch) for watch in site.cameras.values()]

    @routes.get("/cameras/{name}", summary="One camera")
    def camera(name: str) -> CameraOut:
        return camera_out(site.camera(name))

    @routes.get("/health", summary="Whether all is well, and what is not")
    def health() -> HealthOut:
        return health_out(site, guards)


def config_router(site: SiteWatch) -> APIRouter:
    """The site's file, for admins alone: it holds the passwords of cameras."""
    routes = APIRouter(tags=["surveillance"])

    @routes.get("", summary="The site's file", response_class=PlainTextResponse)
    def config() -> PlainTextResponse:
        return PlainTextResponse(site_text(site.file.path))

    @routes.put("", summary="Replace the site's file; one that breaks a rule is refused and nothing changes", status_code=204)
    def replace(wanted: ConfigIn) -> None:
        replace_config(site, wanted.text)

    return routes


def replace_config(site: SiteWatch, text: str) -> None:
    """Write the file and go on by it. Raises `InputError` for a text that breaks a rule, or names a source that is no stream
    and was not there before: who may write this must not make the machine read its own files."""
    path = site.file.path
    before = {watch.camera.source.target for watch in site.cameras.values()}
    for camera in parse_site(text, path.name).cameras:
        if camera.source.kind != "stream" and camera.source.target not in before:
            raise InputError(
                f"camera {camera.name!r}: a source given over the network is a stream",
                "write other sources into the file itself",
            )
    _write(path, text)
    site.reload()


def _write(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    write_atomically(path, text.encode(), mode=mode)
