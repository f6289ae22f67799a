"""Surveillance: the cameras of a site, by the zones, lines, rules and schedules of its file."""

from __future__ import annotations

from typing import Any

from edgekit.apps.base import Answer, RunOptions

HELP = "a site of cameras, watched: zones, lines, schedules, activities"


def configure(parser: Any) -> None:
    """Options of this app alone."""
    from edgekit.apps.vision import run as vision

    vision.configure(parser)


def run(options: RunOptions) -> Answer:
    """With `--no-serve` what a recording holds; else the sources are watched as they come, on a page unless `--headless`.

    Raises as the models, the settings and the sources do.
    """
    from edgekit.apps.vision import run as vision

    return vision.run("surveillance", options)
