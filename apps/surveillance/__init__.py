"""Surveillance: the cameras of a site, by the zones, lines, rules and schedules of its file."""

from __future__ import annotations

from typing import Any

from edgekit.apps.base import Answer, RunOptions
from edgekit.core.errors import UsageError

HELP = "a site of cameras, watched: zones, lines, schedules, activities"


def configure(parser: Any) -> None:
    """Options of this app alone."""
    from edgekit.apps.vision import run as vision

    vision.configure(parser)


def run(options: RunOptions) -> Answer:
    """What a recording holds: events, tracks, frames, and what each stage took. Raises as the models and sources do."""
    from edgekit.apps.vision import run as vision

    if not options.own.get("no_serve"):
        raise UsageError("surveillance has no page yet", vision.EXAMPLE.format(app="surveillance"))
    return vision.run_recorded("surveillance", options)
