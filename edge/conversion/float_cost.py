"""What layers kept in float cost in time, measured where the artifact's own engine runs on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from edgekit import artifact as artifacts
from edgekit.conversion.candidate import Candidate
from edgekit.conversion.made import FloatCost, Pace
from edgekit.loading import open_artifact
from edgekit.parity import Feed
from edgekit.runtimes.face import FaceSession

ROUNDS = 200
SECONDS = 1.0


def float_cost(integers: Candidate, mixed: Candidate, feed: Feed) -> FloatCost | None:
    """What the layers in float cost; None where the board's own engine does not run here (see the share of arithmetic then)."""
    times = _beside(integers, mixed, feed)
    if times is None:
        return None
    own = mixed.manifest.runtimes[0]
    return FloatCost(runtime=own, int8_ms=_middle(times[0]), mixed_ms=_middle(times[1]), runs=len(times[0]))


def pace(made: Candidate, floats: Candidate, feed: Feed) -> Pace | None:
    """How fast an artifact is beside float; None where the board's own engine does not run here."""
    times = _beside(made, floats, feed)
    if times is None:
        return None
    own = made.manifest.runtimes[0]
    return Pace(runtime=own, artifact_ms=_middle(times[0]), float_ms=_middle(times[1]), runs=len(times[0]))


def _middle(times: list[float]) -> float:
    return round(median(times), 3)


def _beside(first: Candidate, second: Candidate, feed: Feed) -> tuple[list[float], list[float]] | None:
    """Both measured in turns, where the board's own engine runs here."""
    if second.manifest.runtimes[0] != second.manifest.runtimes[-1]:
        return None
    with (
        tempfile.TemporaryDirectory(prefix="edgekit-") as scratch,
        _opened(first, scratch, "first") as one,
        _opened(second, scratch, "second") as other,
    ):
        return _in_turns((one, other), feed)


def _opened(candidate: Candidate, scratch: str, name: str) -> FaceSession:
    return open_artifact(artifacts.write(Path(scratch) / name, candidate.manifest, candidate.files))


def _in_turns(sessions: tuple[FaceSession, FaceSession], feed: Feed) -> tuple[list[float], list[float]]:
    """Milliseconds per run, after one run each to warm up: at least 3, at most `ROUNDS` within `SECONDS`."""
    times: tuple[list[float], list[float]] = ([], [])
    for session in sessions:
        session.run(feed)
    ends = perf_counter() + SECONDS
    while len(times[0]) < 3 or (len(times[0]) < ROUNDS and perf_counter() < ends):
        for session, found in zip(sessions, times, strict=True):
            start = perf_counter()
            session.run(feed)
            found.append((perf_counter() - start) * 1000)
    return times
