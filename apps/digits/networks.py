"""The artifacts that read digits, loaded: each a function of one digit, with what is worth knowing about it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.apps.digits.normalise import SIDE
from edgekit.core.errors import EdgekitError, InputError, NotFound
from edgekit.loading import load
from edgekit.models.digits import TEMPERATURE, artifacts, model_path
from edgekit.runtimes.face import FaceSession
from edgekit.tasks.confidence import LEAST, tempered

Floats = NDArray[np.float32]

CLASSES = 10
THREADS = 1
"""The network takes a tenth of a millisecond: to wake other cores would take longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a network is: its artifact's folder, precision and runtime, the bytes of its file, whether its scores are calibrated."""

    artifact: str
    precision: str
    runtime: str
    file_bytes: int
    calibrated: bool


class Network:
    """A loaded artifact as a function of one digit, float32 [28, 28] in 0..1, to ten calibrated probabilities.

    May be called from several threads; they take turns.
    """

    def __init__(self, session: FaceSession) -> None:
        """Raises `InputError` when the artifact is not a network for digits."""
        _check(session)
        self._session, self._lock = session, Lock()
        self._temperature, self._least = _temperature(session), _least(session)
        self.about = _about(session, calibrated=self._temperature != 1)

    def __call__(self, picture: Floats) -> Floats:
        return self.timed(picture)[0]

    def timed(self, picture: Floats) -> tuple[Floats, float]:
        """The probabilities, and the seconds that the engine took for them."""
        spec, output = self._session.inputs[0], self._session.outputs[0]
        feed = {spec.name: picture.reshape(spec.shape).astype(np.float32)}
        with self._lock:
            started = time.perf_counter()
            answer = self._session.run(feed)[output.name]
            seconds = time.perf_counter() - started
        raw = np.asarray(answer, np.float32)[0]
        return raw if self._temperature == 1 else tempered(raw, self._temperature, least=self._least), seconds

    def close(self) -> None:
        """Release the engine."""
        self._session.close()


def open_session(artifact: Path | None, runtime: str) -> FaceSession:
    """The artifact that was asked for, or the first packaged one that runs here.

    Raises `NotFound` with every reason when no packaged one does.
    """
    if artifact is not None:
        return load(artifact, runtime=runtime, threads=THREADS)
    reasons = []
    for path in artifacts():
        try:
            return load(path, runtime=runtime, threads=THREADS)
        except EdgekitError as reason:
            reasons.append(f"\n  {path.name}: {reason.message}")
    said = "no packaged digit artifact runs here:" + "".join(reasons) if reasons else "no digit artifact came with this package"
    raise NotFound(said, f"make one: edgekit convert {model_path()} --target cpu, then pass its folder with --artifact")


def open_others(first: FaceSession, against: Path | None) -> tuple[tuple[FaceSession, ...], Mapping[str, str]]:
    """What `first` is compared with: `against`, or the other packaged artifacts; and why some of these do not run here."""
    if against is not None:
        return (load(against, threads=THREADS),), {}
    opened, reasons = [], {}
    for path in artifacts():
        if path.resolve() == first.artifact.path.resolve():
            continue
        try:
            opened.append(load(path, threads=THREADS))
        except EdgekitError as reason:
            reasons[path.name] = reason.message
    return tuple(opened), reasons


def _check(session: FaceSession) -> None:
    shapes = [[spec.shape for spec in specs] for specs in (session.inputs, session.outputs)]
    if shapes[0] not in ([(1, 1, SIDE, SIDE)], [(1, SIDE, SIDE, 1)]) or shapes[1] != [(1, CLASSES)]:
        raise InputError(
            f"{session.artifact.path.name!r} takes {shapes[0]} and gives {shapes[1]}: "
            f"the digits app needs [(1, 1, {SIDE}, {SIDE})] and [(1, {CLASSES})]",
            "is this the digit network's artifact?",
        )


def _temperature(session: FaceSession) -> float:
    """The one fitted for the shipped network, when the artifact was made from it; 1 for others, which leaves their scores alone."""
    fitted = msgspec.json.decode(TEMPERATURE.read_bytes())
    return float(fitted["temperature"]) if session.artifact.manifest.source.sha256 == fitted["network"] else 1.0


def _least(session: FaceSession) -> float:
    """The smallest probability that the engine tells from zero."""
    scale = session.artifact.manifest.outputs[0].engine.scale
    return scale / 2 if scale else LEAST


def _about(session: FaceSession, *, calibrated: bool) -> About:
    manifest = session.artifact.manifest
    file = manifest.file("model")
    return About(
        artifact=session.artifact.path.name,
        precision=manifest.target.precision,
        runtime=session.runtime,
        file_bytes=file.bytes if file else 0,
        calibrated=calibrated,
    )
