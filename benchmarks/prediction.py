"""Models that no calibration has seen, predicted and measured on this machine, in both engines and precisions.

    python benchmarks/prediction.py convert FOLDER MODEL.onnx ...      the calibration's networks and the models, as artifacts
    python benchmarks/prediction.py measure FOLDER RUNTIME PRECISION   all of one kind: a minute
    python benchmarks/prediction.py tell FOLDER                        fit, predict, compare, write results/prediction.json

What FOLDER holds already is not converted again; `measure` replaces what it has measured before.

The calibration's networks and the models take turns in one process. A machine whose clock or neighbours change runs faster or
slower by several percent some minutes later, and a prediction can be right only about the machine that was calibrated. One
thread, timed by that thread's own clock, which other processes do not disturb.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from common import conditions, write

from edgekit.artifact import read
from edgekit.calibration.artifacts import calibration_artifacts, written
from edgekit.calibration.calibrate import fitted, opened, targets_here
from edgekit.calibration.models import MODELS, WIDTHS, build
from edgekit.calibration.timing import clock_for, latencies_ms
from edgekit.conversion.pipeline import source_for
from edgekit.conversion.request import Request
from edgekit.core.errors import EdgekitError
from edgekit.core.profiles import find
from edgekit.core.schema import Artifact, Target
from edgekit.parity import synthetic_samples
from edgekit.prediction import LatencyProfile, predict
from edgekit.prediction.lookup import works_of

HOST = find("host")
KINDS = CALIBRATION, UNSEEN = "calibration", "models"
SAMPLES = 2


def main(arguments: Sequence[str]) -> int:
    """One stage."""
    match arguments:
        case ["convert", folder, *models] if models:
            convert(Path(folder), [Path(model) for model in models])
        case ["measure", folder, runtime, precision]:
            (target,) = (one for one in targets_here(HOST) if (one.runtime, one.precision) == (runtime, precision))
            measure(Path(folder), target)
        case ["tell", folder]:
            tell(Path(folder))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def convert(folder: Path, models: Sequence[Path]) -> None:
    """Every network in every engine and precision; what cannot be converted is said and left out."""
    targets = targets_here(HOST)
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name in (f"{name}@{width:g}" for name in MODELS for width in WIDTHS):
        if missing := _missing(folder / CALIBRATION, name, targets):
            network, _, width = name.partition("@")
            calibration_artifacts(name, build(network, float(width)), missing, folder / CALIBRATION)
    for model in models:
        for target in _missing(folder / UNSEEN, model.stem, targets):
            try:
                _convert_model(model, target, folder / UNSEEN)
            except EdgekitError as error:
                print(f"{model.stem} {target.runtime} {target.precision}: {error.message}", file=sys.stderr)


def _missing(place: Path, name: str, targets: Sequence[Target]) -> list[Target]:
    return [target for target in targets if not (place / f"{name}.{_suffix(target)}").exists()]


def _convert_model(model: Path, target: Target, place: Path) -> None:
    source = source_for(model, Request())
    samples = list(synthetic_samples(source.graph.inputs, source.preprocess)[:SAMPLES])
    written(source_for(model, Request(calibration=samples)), target, place / f"{model.stem}.{_suffix(target)}")


def measure(folder: Path, target: Target) -> None:
    """All artifacts of one engine and precision in turns."""
    found = {f"{kind}/{name}": artifact for kind in KINDS for name, artifact in _artifacts(folder / kind, target).items()}
    with opened(found.values(), target.runtime, threads=1) as calls:
        measured = latencies_ms(calls, clock_for(1))
    about = {**conditions("onnxruntime", "ai-edge-litert"), "threads": "1", "clock": clock_for(1)}
    told = {"conditions": about, "ms": dict(zip(found, measured, strict=True))}
    _measurements(folder, target).write_text(json.dumps(told, indent=2), "utf-8")


def tell(folder: Path) -> None:
    """What was predicted, and what was measured."""
    targets = [target for target in targets_here(HOST) if _measurements(folder, target).exists()]
    told = [json.loads(_measurements(folder, target).read_text("utf-8")) for target in targets]
    profiles = [_profile(folder, target, one["ms"]) for target, one in zip(targets, told, strict=True)]
    judged = [
        row
        for target, profile, one in zip(targets, profiles, told, strict=True)
        for row in _judged(folder, target, profile, one["ms"])
    ]
    loads = ", ".join(one["conditions"]["load_average"] for one in told)
    write(
        "prediction",
        {
            "conditions": {**told[0]["conditions"], "load_average": loads},
            "summary": _summary(judged),
            "by_engine": {
                _words(one): _summary([row for row in judged if _words(row) == _words(one)]) for one in map(_of, targets)
            },
            "left_out": {_words(_of(target)): round(one.error, 4) for target, one in zip(targets, profiles, strict=True)},
            "models": judged,
        },
    )


def _profile(folder: Path, target: Target, ms: Mapping[str, float]) -> LatencyProfile:
    artifacts = _artifacts(folder / CALIBRATION, target)
    return fitted(HOST, target, artifacts, [ms[f"{CALIBRATION}/{name}"] for name in artifacts], 1)


def _judged(folder: Path, target: Target, profile: LatencyProfile, ms: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    for name, artifact in _artifacts(folder / UNSEEN, target).items():
        took, said = ms[f"{UNSEEN}/{name}"], predict(works_of(artifact.file("model"))[0], profile)
        yield {
            "model": name,
            **_of(target),
            "measured_ms": round(took, 4),
            "predicted_ms": round(said.value_ms, 4) if said else None,
            "error": round(said.value_ms / took - 1, 4) if said else None,
            "inside": bool(said and said.low_ms <= took <= said.high_ms),
        }


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    known = [row for row in rows if row["error"] is not None]
    errors = [abs(row["error"]) for row in known]
    return {
        "models": len(rows),
        "refused": len(rows) - len(known),
        "mape": round(fmean(errors), 4),
        "median": round(median(errors), 4),
        "worst": round(max(errors), 4),
        "within_10_percent": round(fmean(error <= 0.1 for error in errors), 4),
        "within_interval": round(fmean(row["inside"] for row in known), 4),
    }


def _artifacts(place: Path, target: Target) -> dict[str, Artifact]:
    """The artifacts for that engine, by the name of their network."""
    ending = f".{_suffix(target)}"
    return {path.name.removesuffix(ending): read(path) for path in sorted(place.glob(f"*{ending}"))}


def _measurements(folder: Path, target: Target) -> Path:
    return folder / f"{target.runtime}.{target.precision}.json"


def _suffix(target: Target) -> str:
    return f"{target.format}.{target.precision}"


def _of(target: Target) -> dict[str, str]:
    return {"runtime": target.runtime, "precision": target.precision}


def _words(of: Mapping[str, Any]) -> str:
    return f"{of['runtime']} {of['precision']}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
