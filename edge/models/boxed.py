"""Models that come in the box, for apps that are told none."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

PERSONS = "persons"
"""The folder of the person detector's artifact, beside this file."""


def boxed_detector() -> Path | None:
    """The artifact that finds people; None where none was packaged."""
    folder = Path(str(files("edgekit.models") / PERSONS))
    return folder if folder.is_dir() else None
