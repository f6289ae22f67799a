"""Models that no calibration has seen, predicted and then measured on this machine, in both engines and precisions.

    python benchmarks/prediction.py MODEL.onnx ...

Calibrates first (minutes), with one thread, whose own time other processes do not disturb. Writes results/prediction.json.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from common import conditions, write

from edgekit.artifact import write as write_artifact
from edgekit.calibration.calibrate import calibrate
from edgekit.calibration.timing import Call, latencies_ms
from edgekit.conversion.describe import describe
from edgekit.conversion.lowering import lower, prepare
from edgekit.conversion.pipeline import source_for
from edgekit.conversion.request import Request
from edgekit.core.errors import EdgekitError
from edgekit.core.progress import silent
from edgekit.core.schema import Artifact, Recipe, Target
from edgekit.loading import open_artifact
from edgekit.parity import synthetic_samples
from edgekit.prediction import LatencyProfile, predict
from edgekit.prediction.lookup import works_of

FORMATS = {"litert": "tflite", "onnxruntime": "onnx"}
SAMPLES = 2


def main(models: list[str]) -> int:
    """Calibrate, convert, predict, measure, write."""
    if not models:
        print(__doc__, file=sys.stderr)
        return 2
    profiles = calibrate(threads=1)
    with tempfile.TemporaryDirectory() as folder:
        made = {path.stem: dict(converted(path, profiles, Path(folder))) for path in map(Path, models)}
        rows = [row for profile in profiles for row in judged(profile, made)]
    errors = [abs(row["error"]) for row in rows if row["error"] is not None]
    summary = {
        "mape": round(fmean(errors), 4),
        "median": round(median(errors), 4),
        "within_10_percent": round(fmean(error <= 0.1 for error in errors), 4),
        "within_interval": round(fmean(row["inside"] for row in rows if row["error"] is not None), 4),
        "refused": sum(row["error"] is None for row in rows),
    }
    left_out = {f"{one.runtime} {one.precision}": round(one.error, 4) for one in profiles}
    about = {**conditions("onnxruntime", "ai-edge-litert"), "threads": "1", "clock": profiles[0].clock}
    write("prediction", {"conditions": about, "summary": summary, "left_out": left_out, "models": rows})
    return 0


def converted(path: Path, profiles: tuple[LatencyProfile, ...], place: Path) -> Iterator[tuple[tuple[str, str], Artifact]]:
    """The model in every engine and precision that takes it; what cannot be converted is said and left out."""
    source = source_for(path, Request())
    samples = list(synthetic_samples(source.graph.inputs, source.preprocess)[:SAMPLES])
    source = source_for(path, Request(calibration=samples))
    for one in profiles:
        target = Target(
            device=one.device,
            runtime=one.runtime,
            format=FORMATS[one.runtime],
            precision=one.precision,
            dialect="x86" if one.runtime == "onnxruntime" else "",
        )
        try:
            recipe = Recipe(precision=one.precision, format=target.format)
            built = lower(source, target, recipe, prepare(source, target, silent), silent)
            files = built.lowered.files
            manifest = describe(source, target, built, files, notes=(), licence="")
            yield (one.runtime, one.precision), write_artifact(place / f"{path.stem}.{one.name}", manifest, files)
        except EdgekitError as error:
            print(f"{path.stem} {one.runtime} {one.precision}: {error.message}", file=sys.stderr)


def judged(profile: LatencyProfile, made: dict[str, dict[tuple[str, str], Artifact]]) -> Iterator[dict[str, Any]]:
    """Every model of one engine and precision: what was predicted, and what it took."""
    found = {
        name: each[profile.runtime, profile.precision]
        for name, each in made.items()
        if (profile.runtime, profile.precision) in each
    }
    with ExitStack() as stack:
        calls = [call_of(artifact, profile, stack) for artifact in found.values()]
        measured = latencies_ms(calls, profile.clock)
    for (name, artifact), ms in zip(found.items(), measured, strict=True):
        told = predict(works_of(artifact.file("model"))[0], profile)
        yield {
            "model": name,
            "runtime": profile.runtime,
            "precision": profile.precision,
            "measured_ms": round(ms, 4),
            "predicted_ms": round(told.value_ms, 4) if told else None,
            "error": round(told.value_ms / ms - 1, 4) if told else None,
            "inside": bool(told and told.low_ms <= ms <= told.high_ms),
        }


def call_of(artifact: Artifact, profile: LatencyProfile, stack: ExitStack) -> Call:
    """One inference with seeded inputs."""
    session = stack.enter_context(open_artifact(artifact, runtime=profile.runtime, threads=profile.threads))
    generator = np.random.default_rng(0)
    feed = {spec.name: generator.random(spec.shape, np.float32).astype(spec.dtype) for spec in session.inputs}
    return lambda: session.run(feed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
