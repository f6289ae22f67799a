"""What several pages show: a camera's picture and state, what is wrong with the site's file, the way back."""

from __future__ import annotations

from html import escape

from nicegui import ui

from edgekit.apps.vision.pages.media import PREFIX, View
from edgekit.apps.vision.pages.words import state
from edgekit.apps.vision.showing.segmentation import Shade
from edgekit.apps.vision.watching.camera import CameraStatus, CameraWatch
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.web.pages.live import Live
from edgekit.apps.web.pages.parts import icon, problem


class Trouble:
    """Why the site's file is not gone by, for as long as that is so."""

    def __init__(self, site: SiteWatch) -> None:
        self._site, self._said = site, ""
        self._box = ui.element("div").classes("vi-trouble")

    def look(self) -> None:
        found = self._site.problem
        said = "" if found is None else found.message
        if said == self._said:
            return
        self._said = said
        self._box.clear()
        if found is not None:
            with self._box:
                problem(f"{found.message}. What the file said before counts until it is mended.", found.hint)


class Legend:
    """Which colour stands for which class in the picture above it."""

    def __init__(self) -> None:
        self._shown: tuple[Shade, ...] | None = None
        self._list = ui.html("", sanitize=False).classes("vi-legend").props('role=list aria-label="Colours of the shapes"')

    def show(self, shades: tuple[Shade, ...]) -> None:
        if shades == self._shown:
            return
        self._shown = shades
        self._list.set_content("".join(map(_entry, shades)))


def _entry(shade: Shade) -> str:
    red, green, blue = shade.color
    return f'<span role="listitem"><i style="background:rgb({red} {green} {blue})"></i>{escape(shade.label)}</span>'


def picture(watch: CameraWatch, *, every_ms: int = 0, view: View = "marked") -> Live:
    """The live picture of a camera."""
    broadcast = watch.showing.marked if view == "marked" else watch.showing.plain
    kind = "picture" if every_ms else "live"
    url = f"{PREFIX}/cameras/{watch.camera.name}/{kind}?view={view}"
    return Live(broadcast, url, label=f"the camera {watch.camera.name}, live", every_ms=every_ms)


def show_state(live: Live, watch: CameraWatch, status: CameraStatus) -> None:
    """What the source is doing, over its picture."""
    live.say(*state(status))
    if watch.look is not None:
        live.shape(watch.look.frame.width, watch.look.frame.height)


def figures(status: CameraStatus) -> str:
    """How often it is looked at, and how much is followed; nothing of a camera from which nothing comes."""
    if status.feed.link.state != "running":
        return ""
    followed = f"{status.followed} followed" if status.followed else "nobody"
    return f"{status.fps:.1f} looks a second · {followed}"


def back(target: str, text: str) -> None:
    """The way back to where one came from."""
    with ui.link(target=target).classes("vi-back ek-back"):
        icon("arrow_back")
        ui.label(text)
