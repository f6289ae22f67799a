"""What a run that was killed left unfinished: events that never got their end, and the clips beside them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edgekit.apps.vision.recording.store import EventStore, Query, Stored

log = logging.getLogger(__name__)
SIGN = "ended_by"
"""In an event's evidence: its end was not seen, and is the last moment at which something is known of it."""
KILLED = "restart"
PAGE = 200


def end_left_open(store: EventStore, clips: Path) -> tuple[Stored, ...]:
    """End the events that an earlier run left open, when their clip was last written to, or else when they began; oldest first.

    To be called before anything watches: whatever is open then belongs to nobody.
    """
    ended = []
    for stored in list(_open(store)):
        event = replace(stored.event, end_s=_last_known_s(stored, clips), evidence={**stored.event.evidence, SIGN: KILLED})
        store.end(stored.id, event)
        ended.append(replace(stored, event=event))
    if ended:
        log.warning("%d events of an earlier run had no end; they got the last moment that is known of them", len(ended))
    return tuple(reversed(ended))


def _open(store: EventStore) -> Iterator[Stored]:
    """Newest first."""
    found = store.find(Query(open=True), PAGE)
    while found:
        yield from found
        found = store.find(Query(open=True), PAGE, after=found[-1].place)


def _last_known_s(stored: Stored, clips: Path) -> float:
    """A clip is written to while its event lasts; one that is gone, or has another clock, says nothing."""
    try:
        written_s = (clips / Path(stored.clip).name).stat().st_mtime if stored.clip else 0.0
    except OSError:
        written_s = 0.0
    return max(stored.event.start_s, written_s)
