"""Find objects in one picture with a detection artifact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from edgekit.apps.base import Answer, RunOptions
from edgekit.apps.drawing import draw
from edgekit.core.errors import ArtifactError, Unsupported, UsageError
from edgekit.core.schema import Manifest, Postprocess, Preprocess
from edgekit.loading import load
from edgekit.runtimes.base import Arrays
from edgekit.runtimes.face import FaceSession
from edgekit.tasks.detection import Detections, detect
from edgekit.tasks.pictures.images import read_image, write_png
from edgekit.tasks.pictures.preprocess import prepare

HELP = "find objects in a picture and draw them"
EXAMPLE = "edgekit run detect --artifact ARTIFACT --image PICTURE -o OUT.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    artifact: Path
    image: Path
    output: Path | None


def run(options: RunOptions) -> Answer:
    """The detections in `options.image`, boxes in its pixels; with `options.output` also drawn into a PNG.

    `latency_ms` is the engine's run after one to warm up, without preparing and decoding. Raises `UsageError` for options that
    are missing or have no meaning here, `ArtifactError` for an artifact that does not say how to read its outputs, and
    `Unsupported` for one that does not detect.
    """
    request = _checked(options)
    image = read_image(request.image)
    with load(request.artifact, runtime=options.runtime) as session:
        preprocess, postprocess = reading(session.artifact.manifest)
        prepared = prepare(image, preprocess, as_bytes=True)
        outputs, latency_ms = _timed(session, {preprocess.input: prepared.array})
        found = detect(outputs, postprocess=postprocess, preprocess=preprocess, placement=prepared.placement)
        runtime = session.runtime
    if request.output is not None:
        write_png(request.output, draw(image, found))
    result = {"detections": rows(found), "latency_ms": round(latency_ms, 3), "runtime": runtime}
    return Answer(result=result, text=_text(found, latency_ms, runtime, request.output))


def reading(manifest: Manifest) -> tuple[Preprocess, Postprocess]:
    """How the artifact's picture is prepared and its outputs read. Raises as `run` does."""
    if manifest.preprocess is None or manifest.postprocess is None:
        missing = "postprocessing" if manifest.postprocess is None else "preprocessing"
        raise ArtifactError(
            f"the artifact {manifest.name!r} says nothing of its {missing}: its outputs belong to no head that is known",
            "run it yourself with edgekit.load(path).run(feed)",
        )
    if manifest.postprocess.task != "detection":
        raise Unsupported(
            f"the artifact {manifest.name!r} does {manifest.postprocess.task}, not detection", "which artifact finds boxes?"
        )
    return manifest.preprocess, manifest.postprocess


def rows(found: Detections) -> list[dict[str, Any]]:
    """Each detection as in the JSON result, best first: label, class_id, score, box [x1, y1, x2, y2] in pixels.

    Where the model gives them also `landmarks` [[x, y], ...] and `keypoints` [[x, y, score], ...].
    """
    return [
        {
            "label": label,
            "class_id": int(class_id),
            "score": round(float(score), 4),
            "box": [round(float(edge), 1) for edge in box],
            **_points(found, index),
        }
        for index, (label, class_id, score, box) in enumerate(
            zip(found.labels, found.class_ids, found.scores, found.boxes, strict=True)
        )
    ]


def _points(found: Detections, index: int) -> dict[str, list[list[float]]]:
    points: dict[str, list[list[float]]] = {}
    if found.landmarks is not None:
        points["landmarks"] = [[round(float(x), 1), round(float(y), 1)] for x, y in found.landmarks[index]]
    if found.keypoints is not None:
        points["keypoints"] = [
            [round(float(x), 1), round(float(y), 1), round(float(sure), 4)] for x, y, sure in found.keypoints[index]
        ]
    return points


def _checked(options: RunOptions) -> _Request:
    for name, value in (("source", options.source), ("config", options.config)):
        if value is not None:
            raise UsageError(f"detect has no use for --{name}", EXAMPLE)
    if options.artifact is None or options.image is None:
        missing = "--artifact" if options.artifact is None else "--image"
        raise UsageError(f"detect needs {missing}", EXAMPLE)
    if options.output is not None and options.output.suffix.lower() != ".png":
        raise UsageError(f"detect writes PNG, not {options.output.name!r}", EXAMPLE)
    return _Request(artifact=options.artifact, image=options.image, output=options.output)


def _timed(session: FaceSession, feed: Arrays) -> tuple[Arrays, float]:
    session.run(feed)
    start = perf_counter()
    outputs = session.run(feed)
    return outputs, (perf_counter() - start) * 1000


def _text(found: Detections, latency_ms: float, runtime: str, output: Path | None) -> str:
    width = max((len(label) for label in found.labels), default=0)
    lines = [
        f"{label:<{width}}  {score:5.1%}  {' '.join(f'{edge:6.0f}' for edge in box)}"
        for label, score, box in zip(found.labels, found.scores, found.boxes, strict=True)
    ]
    heading = f"{'label':<{width}}  score  {' '.join(f'{edge:>6}' for edge in ('x1', 'y1', 'x2', 'y2'))}"
    lines = [heading, *lines] if lines else ["nothing found"]
    lines.append(f"{len(found)} found by {runtime} in {latency_ms:.1f} ms")
    return "\n".join(lines + ([f"drawn in {output}"] if output else []))
