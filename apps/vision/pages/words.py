"""How events, numbers, times and states are said on the pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.rules.settings import Rule
from edgekit.apps.vision.sources.states import Link
from edgekit.apps.vision.watching.camera import CameraStatus
from edgekit.apps.web.pages.live import State

UNITS = {"_s": " s", "_deg": "°", "_ms": " ms", "_px": " px"}
STATES: Mapping[str, State] = {
    "connecting": "connecting",
    "running": "live",
    "stalled": "stalled",
    "lost": "lost",
    "ended": "ended",
}
SEVERITIES = ("high", "medium", "low")


def title(event: Event) -> str:
    """What happened."""
    if event.type == "line_crossing":
        return f"Crossed {event.evidence.get('line', 'the line')} {event.evidence.get('direction', '')}".strip()
    if event.type == "intrusion":
        return f"In {event.evidence.get('zone', 'the zone')}"
    if event.type == "count":
        return f"{event.evidence.get('count', 'Several')} at once"
    return event.type.replace("_", " ").capitalize()


def clock(time_s: float, now: datetime | None = None) -> str:
    """A time of day, and the day when it is not today's."""
    when, now = datetime.fromtimestamp(time_s), now or datetime.now()
    return f"{when:%H:%M:%S}" if when.date() == now.date() else f"{when:%d %b %Y, %H:%M:%S}"


def lasted(event: Event, *, begun_s: float) -> str:
    """How long it took; `begun_s` is when this program started: what was open before has no end that anybody saw."""
    if event.end_s is None:
        return "goes on" if event.start_s >= begun_s else "its end was not seen"
    length = event.end_s - event.start_s
    if length < 0.05:
        return "a moment"
    return f"{length:.1f} s" if length < 60 else f"{int(length // 60)} min {int(length % 60)} s"


def numbers(event: Event) -> list[tuple[str, str]]:
    """The numbers that fired, by name."""
    return [("score", f"{event.score:.2f}"), *(_number(name, value) for name, value in event.evidence.items())]


def _number(name: str, value: Any) -> tuple[str, str]:
    unit = next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")
    plain = next((name.removesuffix(ending) for ending in UNITS if name.endswith(ending)), name).replace("_", " ")
    said = f"{value:g}" if isinstance(value, float) else str(value)
    return plain, f"{said}{unit}"


def state(status: CameraStatus) -> tuple[State, str]:
    """A camera's state, and the sentence for it."""
    return ("ended", f"stopped: {status.failed}") if status.failed else of_source(status.feed.link)


def of_source(link: Link) -> tuple[State, str]:
    """A source's state, and the sentence for it."""
    reason = f": {link.reason}" if link.reason else ""
    sentences = {
        "connecting": "connecting",
        "running": "live",
        "stalled": f"stalled{reason}",
        "lost": f"lost, trying again{reason}",
        "ended": f"ended{reason}" if reason else "the recording has ended",
    }
    return STATES[link.state], sentences[link.state]


def described(rule: Rule) -> str:
    """What a rule is about, in a line."""
    said = [rule.activity.replace("_", " ") or ("loitering" if rule.loitering is not None else "") or rule.label]
    if rule.line:
        said.append(f"over {rule.line}" + ("" if rule.direction == "any" else f", {rule.direction}"))
    if rule.zone:
        said.append(f"in {rule.zone}")
    if rule.count > 1:
        said.append(f"{rule.count} at once")
    if rule.dwell_s:
        said.append(f"for {rule.dwell_s:g} s")
    if rule.schedule:
        said.append("by schedule")
    return " · ".join([*said, rule.severity])
