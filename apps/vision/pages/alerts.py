"""The newest events as a list that moves while one looks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from nicegui import ui

from edgekit.apps.vision.pages.media import PREFIX
from edgekit.apps.vision.pages.words import clock, title
from edgekit.apps.vision.recording.store import Query, Stored
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.web.pages.parts import empty

MOST = 8


class Alerts:
    """The newest events of a site, or of one camera. `look` shows what came since."""

    def __init__(self, site: SiteWatch, camera: str = "") -> None:
        self._site, self._query, self._heard = site, Query(camera=camera), -1
        self._list = ui.html("", sanitize=False).classes("vi-alerts").props('role=log aria-label="Newest events"')
        self._empty = empty("No events yet", "they appear here as rules fire", "notifications_none")
        self.look()

    def look(self) -> None:
        if self._heard == self._site.heard:
            return
        self._heard = self._site.heard
        found = self._site.store.find(self._query, MOST)
        self._list.set_content("".join(map(row, found)))
        self._list.set_visibility(bool(found))
        self._empty.set_visibility(not found)


def row(stored: Stored, *, current: bool = False) -> str:
    """An event in a list, leading to its own place."""
    event = stored.event
    about = f"{escape(event.camera)} · {clock(event.start_s)} · {event.score:.0%}"
    marks = ('<span class="vi-now">now</span>' if event.end_s is None else "") + (
        '<span class="vi-kept">kept</span>' if stored.kept else ""
    )
    return (
        f'<a class="vi-alert ek-alert vi-{escape(event.severity)}" href="/events?event={stored.id}"'
        f'{" aria-current=true" if current else ""} data-event="{stored.id}">{picture(stored)}'
        f'<span class="vi-alert-text"><b>{escape(title(event))}</b>{marks}<span class="ek-muted">{about}</span></span>'
        f'<span class="vi-severity" title="severity">{escape(event.severity)}</span></a>'
    )


def picture(stored: Stored) -> str:
    """A small picture of the event, or a place where it would be."""
    if not stored.media.snapshot:
        return '<span class="vi-thumb" aria-hidden="true"></span>'
    return f'<img class="vi-thumb" src="{PREFIX}/events/{stored.id}/snapshot" alt="" loading="lazy">'


def rows(found: Sequence[Stored], chosen: int | None) -> str:
    """Many of them."""
    return "".join(row(each, current=each.id == chosen) for each in found)
