"""Where an answer's time goes: a picture prepared, numbers brought to the engine and back, inference, the answer read.

Measured apart from the timed region, stage by stage, since a clock between the stages would be in every latency.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np

from edgekit.benchmark.report import Stages
from edgekit.core.errors import EdgekitError
from edgekit.core.schema import Manifest
from edgekit.runtimes.face import FaceSession
from edgekit.tasks.classification import classify
from edgekit.tasks.detection import detect
from edgekit.tasks.pictures.preprocess import prepare

FRAME = (720, 1280)
"""Height and width of the picture that is prepared: a camera's frame."""
RUNS = 101
LIMIT_NS = 500_000_000
"""Each stage is timed so often, or as often as fits into half a second."""
LEAST = 3

log = logging.getLogger(__name__)
Now = Callable[[], int]


def stages(session: FaceSession, feed: Mapping[str, Any], now: Now = time.perf_counter_ns) -> Stages:
    """Medians of every stage the artifact has: `feed` goes in, and the answer that it gives is read."""
    manifest = session.artifact.manifest
    steps: dict[str, list[int]] = {"into": [], "infer": [], "out": []}
    outputs: Mapping[str, Any] = {}

    def run() -> None:
        nonlocal outputs
        outputs, taken = session.run_in_steps(feed, now)
        for name, ns in zip(steps, taken, strict=True):
            steps[name].append(ns)

    repeated(run, now)
    prepared = _preparing(manifest)
    reading = _reading(manifest, outputs)
    return Stages(
        picture=None if prepared is None else (FRAME[1], FRAME[0]),
        runs=len(steps["infer"]),
        pre_ms=None if prepared is None else _median_ms(repeated(prepared, now)),
        into_ms=_median_ms(steps["into"]),
        infer_ms=_median_ms(steps["infer"]),
        out_ms=_median_ms(steps["out"]),
        post_ms=None if reading is None else _median_ms(repeated(reading, now)),
    )


def repeated(call: Callable[[], object], now: Now) -> list[int]:
    """How long each of many calls took, nanoseconds; the first is not counted."""
    call()
    taken: list[int] = []
    end = now() + LIMIT_NS
    while len(taken) < LEAST or (len(taken) < RUNS and now() < end):
        begin = now()
        call()
        taken.append(now() - begin)
    return taken


def _preparing(manifest: Manifest) -> Callable[[], object] | None:
    """Makes a camera's frame the model's input; None for a model that takes no picture."""
    preprocess = manifest.preprocess
    if preprocess is None:
        return None
    frame = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), np.uint8)
    return lambda: prepare(frame, preprocess)


def _reading(manifest: Manifest, outputs: Mapping[str, Any]) -> Callable[[], object] | None:
    """Makes the outputs an answer; None for a model whose answer nobody knows how to read, or can (random input may give NaN)."""
    preprocess, postprocess = manifest.preprocess, manifest.postprocess
    if postprocess is None or preprocess is None:
        return None
    placement = prepare(np.zeros((*FRAME, 3), np.uint8), preprocess).placement

    def read() -> object:
        if postprocess.task == "classification":
            return classify(outputs, postprocess, preprocess)
        return detect(outputs, postprocess, preprocess, placement)

    try:
        read()
    except EdgekitError as unreadable:
        log.warning("the stage that reads the answer is left out: %s", unreadable.message)
        return None
    return read


def _median_ms(ns: list[int]) -> float:
    return round(median(ns) / 1e6, 6)
