"""The digit app for programs: a picture in, digits out."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request

from edgekit.apps.digits.camera import DigitsCamera
from edgekit.apps.digits.desk import Desk, Look, Sheet
from edgekit.apps.web.pages.live import add_stream
from edgekit.tasks.pictures.images import decode_image

PIXELS = 32_000_000
STREAM = "/camera/live"


def router(desk: Desk) -> APIRouter:
    """`GET ""` says which networks there are, `POST /read` reads the picture that is its body."""
    routes = APIRouter(tags=["digits"])
    picture = {"requestBody": {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}, "required": True}}

    @routes.get("", summary="The networks that read, and what does not run here")
    async def networks() -> dict[str, Any]:
        return {"networks": [asdict(each.about) for each in (desk.reader, *desk.others)], "absent": dict(desk.absent)}

    @routes.post("/read", summary="Read the digits in a picture", openapi_extra=picture)
    async def read(request: Request) -> dict[str, Any]:
        data = await request.body()
        return as_json(await asyncio.to_thread(lambda: desk.read(decode_image(data, pixels=PIXELS))), desk)

    return routes


def add_camera(routes: APIRouter, desk: Desk, camera: DigitsCamera) -> None:
    """`GET /camera` says what the newest picture holds, `GET /camera/live` shows the pictures."""
    add_stream(routes, STREAM, camera.pictures)

    @routes.get("/camera", summary="The digits in the camera's newest picture, and how the camera is doing")
    async def newest() -> dict[str, Any]:
        link, sheet = camera.status().link, camera.sheet
        read = {"digits": [], "number": ""} if sheet is None else as_json(sheet, desk)
        return {"source": camera.address.shown, "state": link.state, "reason": link.reason, **read}


def as_json(read: Sheet, desk: Desk) -> dict[str, Any]:
    """As `edgekit run digits --image FILE --json` prints it, with every network's opinion of each digit."""
    digits = [asdict(look.digit) | {"unsure": look.is_unsure, "opinions": _opinions(look)} for look in read.looks]
    runtime = desk.reader.about.runtime
    return {"digits": digits, "number": read.number, "latency_ms": read.latency_ms, "runtime": runtime}


def _opinions(look: Look) -> list[dict[str, Any]]:
    return [
        {"artifact": each.about.artifact, "runtime": each.about.runtime, "top3": each.top3, "latency_ms": each.latency_ms}
        for each in look.opinions
    ]
