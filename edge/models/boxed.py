"""Models that come in the box, for apps that are told none."""

from __future__ import annotations

from pathlib import Path

from edgekit.models import persons


def boxed_detector() -> Path | None:
    """The artifact that finds people; None where none was packaged."""
    return next(iter(persons.artifacts()), None)
