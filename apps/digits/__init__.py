"""`edgekit run digits`: reads the handwritten digits in a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.apps.base import Answer, RunOptions
from edgekit.apps.digits.annotate import UNSURE_BELOW, annotated
from edgekit.apps.digits.normalise import SIDE
from edgekit.apps.digits.reader import Classify, Floats, Reading, read_digits
from edgekit.core.errors import EdgekitError, InputError, NotFound, UsageError
from edgekit.loading import load
from edgekit.models.digits import artifacts, model_path
from edgekit.runtimes.face import FaceSession
from edgekit.tasks.images import read_image, write_png

HELP = "read the handwritten digits in a picture"

CLASSES = 10


def run(options: RunOptions) -> Answer:
    """Read `options.image`; with `options.output` also draw what was read. Raises `UsageError` without a picture."""
    if options.image is None or options.source is not None or options.config is not None:
        raise UsageError("the digits app reads one picture", "edgekit run digits --image FILE")
    image = read_image(options.image)
    with open_session(options.artifact, options.runtime) as session:
        reading = read_digits(image, classifier(session))
        runtime = session.runtime
    if options.output is not None:
        write_png(options.output, annotated(image, reading.digits))
    return Answer(result=_result(reading, runtime), text=_text(reading, runtime))


def open_session(artifact: Path | None, runtime: str) -> FaceSession:
    """The artifact that was asked for, or the first packaged one that runs here.

    Raises `NotFound` with every reason when no packaged one does.
    """
    if artifact is not None:
        return load(artifact, runtime=runtime)
    reasons = []
    for path in artifacts():
        try:
            return load(path, runtime=runtime)
        except EdgekitError as reason:
            reasons.append(f"\n  {path.name}: {reason.message}")
    said = "no packaged digit artifact runs here:" + "".join(reasons) if reasons else "no digit artifact came with this package"
    raise NotFound(said, f"make one: edgekit convert {model_path()} --target cpu, then pass its folder with --artifact")


def classifier(session: FaceSession) -> Classify:
    """The session as a function of one digit. Raises `InputError` when the artifact is not a network for digits."""
    inputs, outputs = session.inputs, session.outputs
    shapes = [[spec.shape for spec in specs] for specs in (inputs, outputs)]
    if shapes[0] not in ([(1, 1, SIDE, SIDE)], [(1, SIDE, SIDE, 1)]) or shapes[1] != [(1, CLASSES)]:
        raise InputError(
            f"{session.artifact.path.name!r} takes {shapes[0]} and gives {shapes[1]}: "
            f"the digits app needs [(1, 1, {SIDE}, {SIDE})] and [(1, {CLASSES})]",
            "is this the digit network's artifact?",
        )

    def classify(picture: Floats) -> Floats:
        feed = picture.reshape(inputs[0].shape).astype(np.float32)
        probabilities: Floats = np.asarray(session.run({inputs[0].name: feed})[outputs[0].name], np.float32)[0]
        return probabilities

    return classify


def _result(reading: Reading, runtime: str) -> Mapping[str, Any]:
    """The JSON object of CLI.md."""
    digits = [asdict(digit) for digit in reading.digits]
    return {"digits": digits, "number": _number(reading), "latency_ms": reading.latency_ms, "runtime": runtime}


def _text(reading: Reading, runtime: str) -> str:
    """The number, then one line per digit, then how long it took."""
    if not reading.digits:
        return "no digits in this picture"
    lines = [_number(reading)]
    for digit in reading.digits:
        others = ", ".join(f"{other} {score:.2f}" for other, score in digit.top3[1:])
        doubt = f"   unsure: or {others}" if digit.score < UNSURE_BELOW else ""
        lines.append(f"  {digit.digit}  {digit.score:.2f}  at {digit.box[0]}, {digit.box[1]}{doubt}")
    return "\n".join([*lines, f"{reading.latency_ms:.2f} ms for {len(reading.digits)} digits on {runtime}"])


def _number(reading: Reading) -> str:
    """The digits in reading order."""
    return "".join(str(digit.digit) for digit in reading.digits)
