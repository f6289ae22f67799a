"""The digit app's shell: an interface, and a page or two that are imported when somebody wants to see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from importlib.resources import files
from typing import TYPE_CHECKING

from edgekit.apps.digits.desk import Desk
from edgekit.apps.digits.pages.api import PREFIX, UPLOAD_BYTES, add_camera, router
from edgekit.apps.web.shell import Api, Page, Shell

if TYPE_CHECKING:
    from edgekit.apps.digits.camera import DigitsCamera

STYLE = "digits.css"


def shell(desk: Desk, camera: DigitsCamera | None = None) -> Shell:
    """The page that draws and reads, and `/api/digits`, which a viewer may use: reading changes nothing. A camera's page comes first."""
    routes = router(desk)
    if camera is not None:
        add_camera(routes, desk, camera)
    return Shell(
        name="digits",
        title="Digits",
        pages=lambda: _pages(desk, camera),
        apis=(Api(prefix=PREFIX, router=routes, writes="viewer", body_bytes=UPLOAD_BYTES),),
        lifespan=nullcontext if camera is None else lambda: _watched(camera),
    )


def _pages(desk: Desk, camera: DigitsCamera | None) -> tuple[Page, ...]:
    """Each visit gets a page of its own."""
    from nicegui import ui

    from edgekit.apps.digits.pages.camera import CameraPage
    from edgekit.apps.digits.pages.read import ReadPage

    ui.add_css((files("edgekit.apps.digits.pages") / STYLE).read_text(encoding="utf-8"), shared=True)
    if camera is None:
        return (Page(path="/", title="Read", icon="draw", draw=lambda visit: ReadPage(desk).draw(visit)),)
    return (
        Page(path="/", title="Camera", icon="videocam", draw=lambda visit: CameraPage(desk, camera).draw(visit)),
        Page(path="/draw", title="Draw", icon="draw", draw=lambda visit: ReadPage(desk).draw(visit)),
    )


def _watched(camera: DigitsCamera) -> AbstractAsyncContextManager[None]:
    """The camera runs as long as its pages are served."""

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        camera.start()
        try:
            yield
        finally:
            await asyncio.to_thread(camera.stop)

    return life()
