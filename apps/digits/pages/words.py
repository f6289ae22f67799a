"""What the pages say under what was read."""

from __future__ import annotations

from edgekit.apps.digits.annotate import UNSURE_BELOW
from edgekit.apps.digits.desk import Sheet
from edgekit.apps.digits.networks import About


def said(about: About, read: Sheet | None) -> str:
    """How long it took, by what it was read, and what the scores are worth."""
    name = f"{about.artifact} on {about.runtime}"
    scores = f"calibrated; below {UNSURE_BELOW:.0%} is unsure" if about.calibrated else "not calibrated for this artifact"
    taken = f"{read.latency_ms:.2f} ms for {len(read.looks)} · " if read and read.looks else ""
    return f"{taken}{name} · scores are {scores}"
