"""The shell of the camera apps: live, events, zones, and the media behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files

from edgekit.apps.vision.pages import media
from edgekit.apps.vision.showing.explaining import Explainer
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.web.shell import Api, Page, Shell

STYLE = "vision.css"


def shell(app: str, site: SiteWatch, explain: Explainer | None = None) -> Shell:
    """The pages of `site`, which is watched as long as they are served; `explain` answers why, else its detector does."""
    return Shell(
        name=app,
        title=app.capitalize(),
        pages=lambda: _pages(site, explain or Explainer(site.detector)),
        apis=(Api(prefix=media.PREFIX, router=media.router(site)),),
        lifespan=lambda: _watched(site),
    )


def _pages(site: SiteWatch, explain: Explainer) -> tuple[Page, ...]:
    """What draws is imported when somebody wants to see it."""
    from nicegui import ui

    from edgekit.apps.vision.pages.camera import CameraPage
    from edgekit.apps.vision.pages.events import EventsPage
    from edgekit.apps.vision.pages.explain import ExplainPage
    from edgekit.apps.vision.pages.live import LivePage
    from edgekit.apps.vision.pages.zones import ZonesPage

    ui.add_css((files("edgekit.apps.vision.pages") / STYLE).read_text(encoding="utf-8"), shared=True)
    return (
        Page(path="/", title="Live", icon="videocam", draw=lambda visit: LivePage(site).draw(visit)),
        Page(path="/events", title="Events", icon="history", draw=lambda visit: EventsPage(site).draw(visit)),
        Page(path="/zones", title="Zones", icon="polyline", role="admin", draw=lambda visit: ZonesPage(site).draw(visit)),
        Page(path="/explain", title="Explain", icon="lightbulb", draw=lambda visit: ExplainPage(site, explain).draw(visit)),
        Page(
            path="/cameras/{name}",
            title="Camera",
            listed=False,
            draw=lambda visit: CameraPage(site, site.camera(visit.path["name"])).draw(visit),
        ),
    )


def _watched(site: SiteWatch) -> AbstractAsyncContextManager[None]:
    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        await asyncio.to_thread(site.start)
        try:
            yield
        finally:
            await asyncio.to_thread(site.stop)

    return life()
