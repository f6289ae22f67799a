"""Why a model saw what it saw in one picture: a map of what spoke for it, from the very artifact that ran."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.base import Answer, RunOptions
from edgekit.apps.vision.explain import METHODS, Explanation, explain
from edgekit.apps.vision.explain.class_activation import ClassActivation
from edgekit.apps.vision.explain.grad_cam import NAME as GRAD_CAM
from edgekit.apps.vision.explain.grad_cam import GradCam
from edgekit.apps.vision.explain.original import GIVE, original_of
from edgekit.apps.vision.frames import from_rgb
from edgekit.apps.vision.networks.detector import Detector
from edgekit.apps.vision.showing.explaining import heated
from edgekit.core.errors import ArtifactError, InputError, NotFound, UsageError
from edgekit.core.names import did_you_mean
from edgekit.core.schema import Artifact
from edgekit.loading import load
from edgekit.runtimes.face import FaceSession
from edgekit.tasks.heads.classification import decode
from edgekit.tasks.labels import label_of
from edgekit.tasks.pictures.images import read_image, write_png
from edgekit.tasks.pictures.preprocess import prepare

HELP = "show what of a picture spoke for what a detector or a classifier saw in it"
EXAMPLE = "edgekit run explain --artifact ARTIFACT --image PICTURE -o OUT.png"
CAM = "cam"
"""Class activation maps: of classifiers, by the weights of the TFLite file that runs."""
WAYS = ("auto", CAM, GRAD_CAM)
"""Of classifiers; `auto` is the map of what runs, where that shows its features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is explained, and why."""

    label: str
    class_id: int
    score: float
    box: tuple[float, ...] | None
    why: Explanation


def configure(parser: argparse._ActionsContainer) -> None:
    """What only this app takes."""
    parser.add_argument("--label", metavar="NAME", help="explain this class (default: the surest)")
    parser.add_argument(
        "--method",
        default="auto",
        metavar="M",
        help=f"of a detector: {', '.join(METHODS)}; of a classifier: {', '.join(WAYS)}",
    )
    parser.add_argument(
        "--original",
        type=Path,
        metavar="MODEL",
        help="the model that the artifact was made from, for grad-cam (default: of its name beside the artifact; extra torch)",
    )
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="time it may take (default: %(default)s)")


def run(options: RunOptions) -> Answer:
    """The map of the surest detection, or of the likeliest class, drawn over the picture into `options.output`.

    Raises `UsageError` for options that are missing or have no use, `InputError` when nothing (of that label) is seen, and
    `Unsupported` for a classifier whose file shows no features.
    """
    artifact, image = _checked(options)
    picture = read_image(image)
    with load(artifact, runtime=options.runtime) as session:
        postprocess = session.artifact.manifest.postprocess
        classifies = postprocess is not None and postprocess.task == "classification"
        seen = _classified(session, picture, options.own) if classifies else _detected(session, picture, options.own)
        runtime = session.runtime
    if options.output is not None:
        write_png(options.output, heated(picture, seen.why.heat))
    return Answer(result=_result(seen, runtime), text=_text(seen, runtime, options.output))


def _detected(session: FaceSession, picture: NDArray[np.uint8], own: Mapping[str, Any]) -> Seen:
    detector, frame = Detector(session, least=0.3), from_rgb(picture, number=0, time_s=0.0)
    found = detector(frame)
    if own.get("label"):
        found = found.take(found.class_ids == _class_id(detector.labels, own["label"]))
    if not len(found):
        raise InputError("nothing is seen there that could be explained", "edgekit run detect says what is seen")
    one = found.take(np.array([int(found.scores.argmax())]))
    method = str(own.get("method") or "auto")
    gradients = _gradients(session.artifact, own) if method == GRAD_CAM else None
    why = explain(detector, frame, one, budget_s=float(own.get("seconds") or 5.0), method=method, gradients=gradients)
    class_id, box = int(one.class_ids[0]), tuple(round(float(edge), 1) for edge in one.boxes[0])
    return Seen(label=label_of(detector.labels, class_id), class_id=class_id, score=float(one.scores[0]), box=box, why=why)


def _classified(session: FaceSession, picture: NDArray[np.uint8], own: Mapping[str, Any]) -> Seen:
    manifest = session.artifact.manifest
    assert manifest.postprocess is not None
    method = str(own.get("method") or "auto")
    if method not in WAYS:
        raise UsageError(f"a classifier is not explained by {method!r}", f"--method {' or '.join(WAYS)}")
    if manifest.preprocess is None:
        raise ArtifactError(f"{manifest.name!r} does not say how pictures go in", "convert the model again")
    prepared = prepare(picture, manifest.preprocess)
    scores = decode(session.run({manifest.preprocess.input: prepared.array}), manifest.preprocess, manifest.postprocess)
    labels = manifest.postprocess.labels
    class_id = _class_id(labels, own["label"]) if own.get("label") else int(scores.argmax())
    if method == GRAD_CAM:
        why = _gradients(session.artifact, own).of_class(picture, class_id)
    else:
        with ClassActivation(session.artifact.path) as maps:
            why = maps(picture, class_id)
    return Seen(label=label_of(labels, class_id), class_id=class_id, score=float(scores[class_id]), box=None, why=why)


def _gradients(artifact: Artifact, own: Mapping[str, Any]) -> GradCam:
    """The model that the artifact was made from."""
    original = original_of(artifact, own.get("original"))
    if original is None:
        raise NotFound(f"{artifact.manifest.source.name!r}, which {artifact.path.name!r} was made from, is not beside it", GIVE)
    return GradCam(artifact, original)


def _class_id(labels: tuple[str, ...], label: str) -> int:
    if label not in labels:
        raise UsageError(f"the model knows no {label!r}", did_you_mean(label, labels, "edgekit inspect lists its labels"))
    return labels.index(label)


def _checked(options: RunOptions) -> tuple[Path, Path]:
    for name, value in (("source", options.source), ("config", options.config)):
        if value is not None:
            raise UsageError(f"explain has no use for --{name}", EXAMPLE)
    if options.artifact is None or options.image is None:
        raise UsageError(f"explain needs {'--artifact' if options.artifact is None else '--image'}", EXAMPLE)
    if options.output is not None and options.output.suffix.lower() != ".png":
        raise UsageError(f"explain writes PNG, not {options.output.name!r}", EXAMPLE)
    return options.artifact, options.image


def _result(seen: Seen, runtime: str) -> dict[str, Any]:
    rows, columns = np.unravel_index(int(seen.why.heat.argmax()), seen.why.heat.shape)
    return {
        "label": seen.label,
        "class_id": seen.class_id,
        "score": round(seen.score, 4),
        "box": None if seen.box is None else list(seen.box),
        "method": seen.why.method,
        "calls": seen.why.calls,
        "timed_out": seen.why.timed_out,
        "hottest": [int(columns), int(rows)],
        "runtime": runtime,
    }


def _text(seen: Seen, runtime: str, output: Path | None) -> str:
    cut = ", cut off by the time" if seen.why.timed_out else ""
    said = f"{seen.label} {seen.score:.1%}: {seen.why.method}, {seen.why.calls} calls on {runtime}{cut}"
    return said + (f"\ndrawn in {output}" if output else "")
