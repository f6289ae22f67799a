"""Models that come in the box, for apps that are told none."""

from __future__ import annotations

from pathlib import Path

PERSONS = Path(__file__).resolve().parent / "persons" / "artifacts"
"""The person detector's artifacts, where they are packaged."""


def boxed_detector() -> Path | None:
    """The artifact that finds people, the first by name; None where none was packaged."""
    return next((path.parent for path in sorted(PERSONS.glob("*/manifest.json"))), None)
