"""Hostile and damaged files whose manifest is right all the same: whoever can write a file can write its hash. No process may end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import artifact, tiny_artifact, tiny_onnx, tiny_tflite

from edgekit.core.errors import ArtifactError, MissingDependency
from edgekit.core.schema import Artifact
from edgekit.loading import load
from edgekit.runtimes import registry

DAMAGED = """
import json, random, sys
from pathlib import Path
import numpy as np
from edgekit.core.errors import EdgekitError
from edgekit.loading import open_artifact
from edgekit.artifact import read

artifact, runtime, rounds = read(sys.argv[1]), sys.argv[2], int(sys.argv[3])
file = artifact.file("model")
whole = file.read_bytes()
answers = {"ran": 0, "refused": 0}
for seed in range(rounds):
    draw, data = random.Random(seed), bytearray(whole)
    if draw.random() < 0.2:
        del data[draw.randrange(len(data)):]
    for _ in range(draw.choice((1, 2, 8)) if data else 0):
        data[draw.randrange(len(data))] = draw.choice((0, 255, draw.randrange(256)))
    file.write_bytes(data)
    try:
        with open_artifact(artifact, runtime=runtime) as session:
            session.run({spec.name: np.zeros(spec.shape, spec.dtype) for spec in session.inputs})
        answers["ran"] += 1
    except EdgekitError as error:
        assert error.message and "Traceback" not in error.message
        answers["refused"] += 1
print(json.dumps(answers))
"""


def damaged(made: Artifact, runtime: str, rounds: int) -> dict[str, int]:
    """How many damaged models ran, and how many were refused. The process that tries them must live to tell."""
    script = [sys.executable, "-c", DAMAGED, str(made.path), runtime, str(rounds)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr[-2000:]}"
    answers: dict[str, int] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize(("runtime", "kind"), [("litert", "tflite"), ("onnxruntime", "onnx")])
def test_a_damaged_model_is_an_error_of_ours_or_a_model_and_never_the_end_of_the_process(
    tmp_path: Path, runtime: str, kind: str
) -> None:
    answers = damaged(tiny_artifact(tmp_path, kind), runtime, 150)
    assert answers["refused"] > 20 and answers["ran"] > 5, "the damage was too small, or too great, to say anything"


@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "kind"), [("litert@apart", "tflite-int8"), ("opencv", "onnx")])
def test_an_engine_that_a_damaged_model_can_end_is_ended_in_a_process_apart(tmp_path: Path, runtime: str, kind: str) -> None:
    probe = registry.get(runtime).probe()
    if not probe.ok:
        pytest.skip(probe.reason)
    answers = damaged(tiny_artifact(tmp_path, kind), runtime, 60)
    assert answers["refused"] > 10 and answers["ran"] > 2


def test_a_quantized_model_apart_computes_what_it_does_here(tmp_path: Path) -> None:
    path = tiny_artifact(tmp_path, "tflite-int8").path
    with load(path) as here, load(path, runtime="litert@apart") as apart:
        image = np.random.default_rng(1).uniform(-1, 1, (1, 3, 4, 4)).astype(np.float32)
        np.testing.assert_array_equal(here.run({"image": image})["scores"], apart.run({"image": image})["scores"])


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
def test_not_a_number_goes_through_a_float_engine_as_what_it_is(tmp_path: Path, runtime: str) -> None:
    image = np.zeros((1, 3, 4, 4), np.float32)
    image[0, 0, 0, 0] = np.nan
    with load(tiny_artifact(tmp_path, "tflite" if runtime == "litert" else "onnx").path, runtime=runtime) as session:
        scores = session.run({"image": image})["scores"]
    assert np.isnan(scores[0, :, 0, 0]).all() and np.isfinite(scores[0, :, 1:, :]).all()


def test_an_artifact_for_another_board_runs_where_it_can_aloud_and_nowhere_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if registry.get("tensorrt").probe().ok:
        pytest.skip("this machine has TensorRT")
    made = tiny_artifact(tmp_path, "tensorrt")
    with load(made.path) as session:
        assert session.runtime == "onnxruntime"
    assert "tiny.jetson.fp32 runs on onnxruntime (tensorrt: " in caplog.text
    with pytest.raises(MissingDependency, match="tensorrt"):
        load(made.path, runtime="tensorrt")


def test_a_model_of_another_hash_is_refused_with_both(tmp_path: Path) -> None:
    made = tiny_artifact(tmp_path, "onnx")
    (made.path / "model.onnx").write_bytes(tiny_onnx().replace(b"tiny", b"tinY"))
    with pytest.raises(ArtifactError, match=r"has sha256 \w{12}…, its manifest says \w{12}…"):
        load(made.path)


def test_another_model_under_the_same_manifest_is_refused_whatever_its_hash(tmp_path: Path) -> None:
    files = {"model.tflite": tiny_tflite(quantized=True)}
    impostor = artifact(tmp_path / "a", files, "tflite", ("litert",))
    with pytest.raises(ArtifactError, match="the manifest says 'image' is float32"):
        load(impostor.path, runtime="litert")
