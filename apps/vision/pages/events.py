"""What happened, and the proof: events over time, filtered, each with its clip, its picture and the numbers that fired."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from time import time
from urllib.parse import urlencode

from nicegui import ui
from nicegui.events import GenericEventArguments

from edgekit.apps.vision.pages.alerts import rows
from edgekit.apps.vision.pages.clip import Clip
from edgekit.apps.vision.pages.media import PREFIX
from edgekit.apps.vision.pages.timeline import Span, Timeline
from edgekit.apps.vision.pages.words import SEVERITIES, clock, lasted, numbers, title
from edgekit.apps.vision.recording.store import Query, Stored
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.web.pages.parts import empty, heading, panel
from edgekit.apps.web.shell import Visit
from edgekit.core.errors import NotFound

LOOK_S, MOST = 2.0, 30
HOUR_S = 3600.0
RANGES = {"hour": HOUR_S, "day": 24 * HOUR_S, "week": 7 * 24 * HOUR_S, "month": 30 * 24 * HOUR_S, "all": 0.0}
NAMES = {"hour": "Last hour", "day": "Last day", "week": "Last 7 days", "month": "Last 30 days", "all": "All time"}
PRESSED = """(event) => {
    const row = event.target.closest("[data-event]");
    if (!row || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    emit(Number(row.dataset.event));
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a visitor asks for; `span` is a stretch of the timeline that was pressed, within the range."""

    camera: str = ""
    rule: str = ""
    severity: str = ""
    range: str = "day"
    kept: bool = False
    span: Span | None = None

    def query(self, now_s: float) -> Query:
        """The same for the database."""
        since = self.span.since_s if self.span else now_s - RANGES[self.range] if RANGES[self.range] else None
        until = self.span.until_s if self.span else None
        return Query(camera=self.camera, rule=self.rule, severity=self.severity, kept=self.kept, since_s=since, until_s=until)

    def address(self, event: int | None) -> str:
        """The page's address with this filter, to be kept and shared."""
        asked = {name: getattr(self, name) for name in ("camera", "rule", "severity") if getattr(self, name)}
        asked |= {"range": self.range} if self.range != "day" else {}
        asked |= {"kept": "1"} if self.kept else {}
        asked |= {"event": str(event)} if event is not None else {}
        return f"/events?{urlencode(asked)}" if asked else "/events"


def asked_for(visit: Visit) -> tuple[Filter, int | None]:
    """What the address asks for; what is no filter is passed over."""
    query, event = visit.query, visit.query.get("event", "")
    severity, span = query.get("severity", ""), query.get("range", "day")
    found = Filter(
        camera=query.get("camera", "")[:80],
        rule=query.get("rule", "")[:80],
        severity=severity if severity in SEVERITIES else "",
        range=span if span in RANGES else "day",
        kept=query.get("kept") == "1",
    )
    return found, int(event) if event.isascii() and event.isdigit() and len(event) < 16 else None


class EventsPage:
    """One visitor's review."""

    def __init__(self, site: SiteWatch) -> None:
        self._site, self._store = site, site.store
        self._filter = Filter()
        self._event: int | None = None
        self._shown: list[Stored] = []
        self._heard, self._more = -1, 0

    def draw(self, visit: Visit) -> None:
        self._filter, self._event = asked_for(visit)
        self._may = visit.user.may("admin")
        heading("Events", "What the rules found, with the clip, the picture and the numbers that fired.")
        self._filters()
        with panel():
            self._timeline = Timeline(self._store, self._narrow)
            self._chip = ui.chip(removable=True, on_value_change=lambda event: None if event.value else self._narrow(None))
            self._chip.classes("vi-span").set_visibility(False)
        with ui.element("div").classes("vi-events vi-wide"):
            with panel(classes="vi-list"):
                self._list = ui.html("", sanitize=False).classes("vi-alerts")
                self._list.on("click", self._press, js_handler=PRESSED)
                self._nothing = empty("No events here", "ask for a longer time, or for more cameras and rules", "search_off")
                self._older = ui.button("Older", on_click=self._grow).props("flat no-caps")
            self._detail = panel(classes="vi-detail")
        self._look()
        self._open(self._event)
        ui.timer(LOOK_S, self._look)

    def _filters(self) -> None:
        cameras = sorted({*self._site.cameras, *self._store.known("camera"), *filter(None, [self._filter.camera])})
        rules = sorted({*self._store.known("rule"), *filter(None, [self._filter.rule])})
        with ui.element("div").classes("vi-filters").props('role=search aria-label="Filter"'):
            self._select("Camera", "camera", {"": "All cameras"} | {name: name for name in cameras})
            self._select("Rule", "rule", {"": "All rules"} | {name: name.replace("_", " ") for name in rules})
            self._select("Severity", "severity", {"": "All severities"} | {name: name.capitalize() for name in SEVERITIES})
            self._select("Time", "range", NAMES)
            kept = ui.switch("Kept only", value=self._filter.kept)
            kept.props("dense").on_value_change(lambda event: self._ask(kept=bool(event.value)))

    def _select(self, label: str, name: str, choices: dict[str, str]) -> None:
        field = ui.select(choices, label=label, value=getattr(self._filter, name))
        field.props("outlined dense options-dense").classes("vi-select")
        field.on_value_change(lambda event: self._ask(**{name: str(event.value), "span": None}))

    def _ask(self, **changed: object) -> None:
        self._filter, self._more = replace(self._filter, **changed), 0  # type: ignore[arg-type]
        self._heard = -1
        self._remember()
        self._look()

    def _narrow(self, span: Span | None) -> None:
        """To a stretch of the timeline, or back to all of it."""
        if span is not None:
            self._chip.set_text(f"{clock(span.since_s)} to {clock(span.until_s)}")
            self._chip.set_value(True)
        self._chip.set_visibility(span is not None)
        self._ask(span=span)

    def _grow(self) -> None:
        self._more += MOST
        self._heard = -1
        self._look()

    def _look(self) -> None:
        """Show what is asked for, when something happened since or another thing is asked for."""
        if self._heard == self._site.heard:
            return
        self._heard, now_s = self._site.heard, time()
        query = self._filter.query(now_s)
        self._shown = self._store.find(query, MOST + self._more + 1)
        self._older.set_visibility(len(self._shown) > MOST + self._more)
        self._nothing.set_visibility(not self._shown)
        self._list_rows()
        whole = replace(self._filter, span=None).query(now_s)
        self._timeline.show(whole, Span(since_s=self._first_s(whole, now_s), until_s=now_s))

    def _first_s(self, whole: Query, now_s: float) -> float:
        """Where the timeline begins: with the range, or for all time with the first event."""
        if whole.since_s is not None:
            return whole.since_s
        return self._store.first_s(whole) or now_s - HOUR_S

    def _list_rows(self) -> None:
        self._list.set_content(rows(self._shown[: MOST + self._more], self._event))

    def _press(self, event: GenericEventArguments) -> None:
        self._open(int(event.args))

    def _open(self, number: int | None) -> None:
        """Show one event beside the list."""
        self._event = number
        self._detail.clear()
        with self._detail:
            if number is None:
                empty("No event chosen", "choose one to see its clip and its numbers", "touch_app").classes("vi-unchosen")
                return
            try:
                stored = self._store.get(number)
            except NotFound:
                empty("This event is gone", "it was deleted, or became too old", "delete_outline")
                return
            self._draw_event(stored)
        self._list_rows()
        self._remember()

    def _draw_event(self, stored: Stored) -> None:
        event = stored.event
        ui.html(
            f"<h2>{escape(title(event))} <span class='vi-severity vi-{escape(event.severity)}'>{escape(event.severity)}</span></h2>",
            sanitize=False,
        )
        ui.label(f"{event.camera} · {clock(event.start_s)} · {lasted(event, begun_s=self._site.begun_s)}").classes("ek-muted")
        self._pictures(stored)
        with ui.element("dl").classes("vi-numbers"):
            for name, value in (
                ("rule", event.rule.replace("_", " ")),
                *numbers(event),
                *(() if event.track is None else (("track", str(event.track)),)),
            ):
                with ui.element("div"):
                    ui.html(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>", sanitize=False)
        self._actions(stored)

    def _pictures(self, stored: Stored) -> None:
        """The clip, and the picture that began the event with the box of whom it is about."""
        if not (stored.media.clip and stored.media.snapshot):
            Clip(stored)
            return
        with ui.tabs().props("dense no-caps align=left") as tabs:
            clip, still = ui.tab("Clip"), ui.tab("Picture")
        with ui.tab_panels(tabs, value=clip, animated=False).classes("vi-tabs"):
            with ui.tab_panel(clip):
                Clip(stored)
            with ui.tab_panel(still):
                Clip(stored, still=True)

    def _actions(self, stored: Stored) -> None:
        with ui.element("div").classes("vi-actions"):
            if stored.media.clip:
                ui.button("Download", on_click=lambda: ui.navigate.to(f"{PREFIX}/events/{stored.id}/clip?download=true")).props(
                    "flat no-caps icon=download"
                )
            if stored.media.snapshot and stored.media.box:
                ui.button("Explain", on_click=lambda: ui.navigate.to(f"/explain?event={stored.id}")).props(
                    "flat no-caps icon=lightbulb"
                )
            if not self._may:
                return
            said = "Keep no longer" if stored.kept else "Keep"
            ui.button(said, on_click=lambda: self._keep(stored)).props("flat no-caps icon=bookmark")
            ui.button("Delete", on_click=lambda: self._ask_to_delete(stored)).props(
                "flat no-caps icon=delete_outline color=negative"
            )

    def _keep(self, stored: Stored) -> None:
        self._site.keep(stored.id, not stored.kept)
        self._look()
        self._open(stored.id)

    def _ask_to_delete(self, stored: Stored) -> None:
        with ui.dialog() as dialog, ui.card().classes("vi-dialog"):
            ui.label(f"Delete “{title(stored.event)}” of {clock(stored.event.start_s)}?").classes("vi-name")
            ui.label("Its picture goes with it, and its clip, unless another event shows it too.").classes("ek-muted")
            with ui.element("div").classes("vi-actions"):
                ui.button("Delete", on_click=lambda: self._delete(stored, dialog)).props("unelevated no-caps color=negative")
                ui.button("Leave it", on_click=dialog.close).props("flat no-caps")
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _delete(self, stored: Stored, dialog: ui.dialog) -> None:
        dialog.close()
        self._site.delete(stored.id)
        self._open(None)
        self._look()

    def _remember(self) -> None:
        ui.navigate.history.replace(self._filter.address(self._event))
