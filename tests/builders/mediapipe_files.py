"""Files for MediaPipe's tasks: a tiny network of bytes, and the metadata that its tasks want of float ones."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tiny import Op, T, artifact, tflite

from edgekit.core.schema import Artifact, Port, TensorSpec

SIZE, CLASSES = 8, 10
METADATA, IDENTIFIER = "TFLITE_METADATA", b"M001"
POSE_NETWORKS = {
    "pose_detector.tflite": ("pose_detection.tflite", ("regressors", "scores"), (127.5, 127.5)),
    "pose_landmarks_detector.tflite": (
        "pose_landmark_lite.tflite",
        ("landmarks", "flag", "mask", "heat", "world"),
        (0.0, 255.0),
    ),
}
"""By the name in a bundle: the file, its outputs, and mean and deviation of its input."""


def pictures_to_scores(*, softmax: bool) -> bytes:
    """A dense layer over the bytes of a picture, then a softmax or none; its answers are bytes of scale 1/256."""
    numbers = SIZE * SIZE * 3
    weights = np.random.default_rng(1).integers(0, 256, (CLASSES, numbers)).astype(np.uint8)
    scale = 1 / 256
    tensors = [
        T(name="image", shape=(1, SIZE, SIZE, 3), dtype="uint8", scale=1 / 256, zero_point=0),
        T(name="weights", shape=weights.shape, dtype="uint8", data=weights, scale=scale, zero_point=128),
        T(name="bias", shape=(CLASSES,), dtype="int32", data=np.zeros(CLASSES, np.int32), scale=scale / 256),
        T(
            name="sums",
            shape=(1, CLASSES),
            dtype="uint8",
            scale=1 / 16 if softmax else 1 / 256,
            zero_point=128 if softmax else 0,
        ),
    ]
    dense = Op(
        op="FULLY_CONNECTED",
        inputs=("image", "weights", "bias"),
        outputs=("sums",),
        options_type="FullyConnectedOptions",
    )
    if not softmax:
        return tflite(tensors, [dense], ["image"], ["sums"])
    last = Op(op="SOFTMAX", inputs=("sums",), outputs=("scores",), options_type="SoftmaxOptions", options={"beta": 1.0})
    scores = T(name="scores", shape=(1, CLASSES), dtype="uint8", scale=1 / 256, zero_point=0)
    return tflite([*tensors, scores], [dense, last], ["image"], ["scores"])


def classifier(folder: Path) -> Artifact:
    """An artifact around such a file, made without MediaPipe."""
    picture = TensorSpec(name="image", shape=(1, SIZE, SIZE, 3), dtype="uint8")
    scores = TensorSpec(name="scores", shape=(1, CLASSES), dtype="float32")
    ports = (Port(source=picture, engine=picture), Port(source=scores, engine=scores))
    files = {"model.task": pictures_to_scores(softmax=True)}
    return artifact(folder / "pictures.rpi5.int8-mediapipe", files, "mediapipe", ("mediapipe",), ports, "image-classifier")


def with_metadata(model: bytes, outputs: Sequence[str], normal: tuple[float, float] | None = None) -> bytes:
    """The same file with TFLite metadata: an RGB picture with that mean and deviation goes in, and what comes out has names."""
    made = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(model), 0))
    entry, buffer = schema.MetadataT(), schema.BufferT()
    buffer.data = list(_metadata(outputs, normal))
    made.buffers.append(buffer)
    entry.name, entry.buffer = METADATA, len(made.buffers) - 1
    made.metadata = [*(made.metadata or []), entry]
    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _metadata(outputs: Sequence[str], normal: tuple[float, float] | None) -> bytes:
    m = import_module("mediapipe.tasks.metadata.metadata_schema_py_generated")
    top, graph = m.ModelMetadataT(), m.SubGraphMetadataT()
    image = _tensor(m, "image", "Image")
    image.content.contentProperties.colorSpace = m.ColorSpaceType.RGB
    if normal is not None:
        unit, options = m.ProcessUnitT(), m.NormalizationOptionsT()
        (options.mean, options.std) = ([normal[0]], [normal[1]])
        unit.optionsType, unit.options = m.ProcessUnitOptions.NormalizationOptions, options
        image.processUnits = [unit]
    graph.inputTensorMetadata, graph.outputTensorMetadata = [image], [_output(m, name) for name in outputs]
    top.subgraphMetadata = [graph]
    builder = flatbuffers.Builder(256)
    builder.Finish(top.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _output(m: Any, name: str) -> Any:
    """An output; "location" is the corners of boxes in TFLite_Detection_PostProcess's order."""
    if name != "location":
        return _tensor(m, name, "Feature")
    found = _tensor(m, name, "BoundingBox")
    box = found.content.contentProperties
    box.index, box.type, box.coordinateType = [1, 0, 3, 2], m.BoundingBoxType.BOUNDARIES, m.CoordinateType.RATIO
    return found


def _tensor(m: Any, name: str, kind: str) -> Any:
    tensor, content = m.TensorMetadataT(), m.ContentT()
    content.contentPropertiesType = getattr(m.ContentProperties, f"{kind}Properties")
    content.contentProperties = getattr(m, f"{kind}PropertiesT")()
    tensor.name, tensor.content = name, content
    return tensor
