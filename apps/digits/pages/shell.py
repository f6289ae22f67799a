"""The digit app's shell: one page, one interface."""

from __future__ import annotations

from importlib.resources import files

from nicegui import ui

from edgekit.apps.digits.desk import Desk
from edgekit.apps.digits.pages.api import router
from edgekit.apps.digits.pages.read import UPLOAD_BYTES, ReadPage
from edgekit.apps.web.shell import Api, Page, Shell, Visit

STYLE = "digits.css"


def shell(desk: Desk) -> Shell:
    """The page that draws and reads, and `/api/digits`, which a viewer may use: reading changes nothing."""
    ui.add_css((files("edgekit.apps.digits.pages") / STYLE).read_text(encoding="utf-8"), shared=True)

    def draw(visit: Visit) -> None:
        ReadPage(desk).draw(visit)

    return Shell(
        name="digits",
        title="Digits",
        pages=(Page(path="/", title="Read", icon="draw", draw=draw),),
        apis=(Api(prefix="/api/digits", router=router(desk), writes="viewer", body_bytes=UPLOAD_BYTES),),
    )
