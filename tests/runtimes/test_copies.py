"""What a call copies: nothing but what goes into the engine's own memory and comes out of it. Counted by what numpy asks memory for."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_artifact

from edgekit.calibration.artifacts import made
from edgekit.calibration.calibrate import targets_here
from edgekit.calibration.sketch import Sketch
from edgekit.core.profiles import find
from edgekit.core.schema import Artifact
from edgekit.loading import open_artifact
from edgekit.runtimes.base import Arrays
from edgekit.runtimes.face import FaceSession

KINDS = ("onnx.fp32", "onnx.int8", "tflite.fp32", "tflite.int8")
PICTURE = np.random.default_rng(0).random((1, 3, 256, 256), np.float32)
LITTLE = PICTURE.nbytes // 10


@pytest.fixture(scope="module")
def artifacts() -> Iterator[dict[str, Artifact]]:
    """A network with a large input and a small answer, in both engines and precisions."""
    sketch = Sketch(PICTURE.shape, 1).conv(8, stride=2).pool().pool().classes(10)
    with made({"large": sketch.model("large")}, targets_here(find("host"))) as found:
        yield {f"{one.manifest.target.format}.{one.manifest.target.precision}": one for one in found["large"]}


@pytest.fixture(params=KINDS)
def session(request: pytest.FixtureRequest, artifacts: dict[str, Artifact]) -> Iterator[FaceSession]:
    with open_artifact(artifacts[request.param], threads=1) as opened:
        yield opened


def asked_for(call: Callable[[], object]) -> int:
    """Bytes that Python and numpy held at most during a call, when it was made once before."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_picture_reaches_the_engine_without_an_array_in_between(session: FaceSession) -> None:
    (spec,) = session.inputs
    assert asked_for(lambda: session.run({spec.name: PICTURE})) < LITTLE


def test_the_engine_s_own_arrays_reach_it_without_a_copy(session: FaceSession) -> None:
    port = session.artifact.manifest.inputs[0]
    own = {port.source.name: np.zeros(port.engine.shape, port.engine.dtype)}
    assert asked_for(lambda: session.run(own, raw=True)) < LITTLE


def test_what_is_not_contiguous_is_copied_once_where_the_engine_must_have_it_so(artifacts: dict[str, Artifact]) -> None:
    """Shows that copies are seen at all."""
    scattered = np.repeat(PICTURE, 2, axis=3)[..., ::2]
    with open_artifact(artifacts["onnx.fp32"], threads=1) as session:
        (spec,) = session.inputs
        assert PICTURE.nbytes <= asked_for(lambda: session.run({spec.name: scattered})) < PICTURE.nbytes + LITTLE


class Keeper:
    """An engine that keeps what it is given."""

    def __init__(self, artifact: Artifact) -> None:
        self.inputs = tuple(port.engine for port in artifact.manifest.inputs)
        self.outputs = tuple(port.engine for port in artifact.manifest.outputs)
        self.given: Arrays = {}

    def run(self, feed: Arrays) -> Arrays:
        self.given = feed
        return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self.outputs}

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("raw", [False, True])
def test_an_engine_that_wants_what_the_caller_has_is_given_that_very_array(tmp_path: Path, raw: bool) -> None:
    artifact = tiny_artifact(tmp_path, "onnx")
    engine, image = Keeper(artifact), np.zeros((1, 3, 4, 4), np.float32)
    FaceSession(engine, artifact, "keeper").run({"image": image}, raw=raw)
    assert engine.given["image"] is image
