"""From what the site knows to what the interface answers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from time import time

import numpy as np

from edgekit.apps.surveillance.api.shapes import CameraOut, ChannelOut, EventOut, HealthOut
from edgekit.apps.vision.notify.courier import ChannelStatus
from edgekit.apps.vision.recording.store import Place, Stored
from edgekit.apps.vision.watching.camera import CameraWatch
from edgekit.apps.vision.watching.guards import Guards
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.core.errors import InputError, NotFound

CURSOR = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)-([0-9]{1,18})")


def event_out(stored: Stored, prefix: str) -> EventOut:
    """The event, with the addresses of its files below `prefix`."""
    event, here = stored.event, f"{prefix}/events/{stored.id}"
    return EventOut(
        id=stored.id,
        **{name: getattr(event, name) for name in ("camera", "rule", "type", "severity", "start_s", "end_s", "score", "track")},
        evidence=dict(event.evidence),
        kept=stored.kept,
        clip=f"{here}/clip" if stored.media.clip else None,
        snapshot=f"{here}/snapshot" if stored.media.snapshot else None,
    )


def cursor(stored: Sequence[Stored], most: int) -> str | None:
    """Where the next page begins; None when this one was not full."""
    return f"{stored[-1].event.start_s!r}-{stored[-1].id}" if len(stored) == most else None


def place_of(text: str) -> Place:
    """The place that a cursor names. Raises `InputError`."""
    found = CURSOR.fullmatch(text)
    if found is None:
        raise InputError("'before' is not one that was given out", "take it from an answer")
    return Place(start_s=float(found[1]), id=int(found[2]))


def camera_out(watch: CameraWatch) -> CameraOut:
    """How a camera is doing."""
    status, camera = watch.status(), watch.camera
    return CameraOut(
        name=camera.name,
        source=camera.source.shown,
        state=status.feed.link.state,
        reason=status.feed.link.reason,
        fps=round(status.fps, 2),
        frames=status.feed.captured,
        dropped=status.feed.dropped,
        losses=status.feed.link.losses,
        followed=status.followed,
        failed=status.failed,
        private=camera.private,
    )


def channel_out(status: ChannelStatus) -> ChannelOut:
    """How a channel is doing."""
    taken, counts = status.latencies_s, status.counts
    p50, p95 = (round(float(np.percentile(taken, share)), 4) if taken else None for share in (50, 95))
    return ChannelOut(
        name=status.name,
        waiting=counts.waiting,
        sent=counts.sent,
        refused=counts.refused,
        dropped=dict(counts.dropped),
        latency_p50_s=p50,
        latency_p95_s=p95,
        trouble=status.trouble,
    )


def health_out(site: SiteWatch, guards: Guards) -> HealthOut:
    """How the site is doing."""
    return HealthOut(
        well=not guards.troubles,
        troubles=list(guards.troubles),
        problem="" if site.problem is None else site.problem.message,
        unwritten_events=site.ledger.unwritten,
        lost_events=site.ledger.lost,
        free_bytes=shutil.disk_usage(site.folder).free,
        uptime_s=round(time() - site.begun_s, 1),
        channels=[channel_out(status) for status in guards.channels()],
    )


def kept_file(folder: Path, name: str, suffix: str) -> Path:
    """A file that lies in the folder itself. Raises `NotFound` for every other name, links out of the folder among them."""
    path = folder / name
    plain = bool(name) and Path(name).name == name and not name.startswith(".") and path.suffix == suffix
    if not plain or not path.is_file() or path.resolve().parent != folder.resolve():
        raise NotFound("there is no such file", "it may have been deleted for its age")
    return path
