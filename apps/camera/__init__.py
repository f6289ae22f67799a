"""A smart camera: one source, its people and what they do, by rules."""

from __future__ import annotations

from typing import Any

from edgekit.apps.base import Answer, RunOptions
from edgekit.core.errors import UsageError

HELP = "one camera, watched: people, poses, rules, events"


def configure(parser: Any) -> None:
    """Options of this app alone."""
    from edgekit.apps.vision import run as vision

    vision.configure(parser)


def run(options: RunOptions) -> Answer:
    """What a recording holds: events, tracks, frames, and what each stage took. Raises as the models and sources do."""
    from edgekit.apps.vision import run as vision

    if not options.own.get("no_serve"):
        raise UsageError("camera has no page yet", vision.EXAMPLE.format(app="camera"))
    return vision.run_recorded("camera", options)
