"""What is particular to OpenCV's DNN: it would reshape a network to any input, and it comes last."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec import to_builtins
from tiny import SOURCE_IN, artifact, tiny_artifact, tiny_onnx

from edgekit.core.errors import ArtifactError, DeviceError, Unsupported
from edgekit.core.schema import Port
from edgekit.loading import load
from edgekit.runtimes import opencv

pytest.importorskip("cv2", reason="OpenCV is not installed")
IMAGE = np.ones((1, 3, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        ({}, "the feed has no 'image'"),
        ({"image": np.ones((1, 3, 8, 8), np.float32)}, r"must be float32 \[1, 3, 4, 4\], got float32 \[1, 3, 8, 8\]"),
        ({"image": IMAGE.astype(np.float64)}, "got float64"),
    ],
    ids=["missing", "another shape", "another type"],
)
def test_a_feed_that_does_not_fit_is_refused_and_not_reshaped_to(
    tmp_path: Path, feed: dict[str, np.ndarray], said: str
) -> None:
    made = tiny_artifact(tmp_path, "onnx")
    (image,), (scores,) = made.manifest.inputs, made.manifest.outputs
    session = opencv.open_net(str(made.file("model")), 1, [to_builtins(image.engine)], [to_builtins(scores.engine)])
    with pytest.raises(DeviceError, match=said):
        session.run(feed)


def test_inputs_that_are_not_float32_are_unsupported_with_a_way_out(tmp_path: Path) -> None:
    made = tiny_artifact(tmp_path, "onnx")
    whole = Port(source=SOURCE_IN, engine=msgspec.structs.replace(SOURCE_IN, dtype="int64"))
    odd = msgspec.structs.replace(made, manifest=msgspec.structs.replace(made.manifest, inputs=(whole,)))
    with pytest.raises(Unsupported, match="'image' is int64") as caught:
        opencv.runtime.load(odd)
    assert "onnxruntime" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"not a model", tiny_onnx()[:60]])
def test_a_file_that_is_no_model_is_an_error_of_ours(tmp_path: Path, data: bytes) -> None:
    with pytest.raises((ArtifactError, DeviceError), match=r"model\.onnx"):
        opencv.runtime.load(artifact(tmp_path / "a", {"model.onnx": data}, "onnx", ("opencv",)))


def test_the_shipped_digits_are_read_as_onnx_runtime_reads_them() -> None:
    path = Path(__file__).parents[2] / "edge/models/digits/artifacts/digits.host.fp32"
    with load(path) as engine, load(path, runtime="opencv") as other:
        (spec,) = engine.inputs
        feed = {spec.name: np.random.default_rng(0).uniform(0, 1, spec.shape).astype(spec.dtype)}
        for name, found in engine.run(feed).items():
            np.testing.assert_allclose(other.run(feed)[name], found, atol=1e-5)
