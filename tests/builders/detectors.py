"""Real artifacts that say the same of every picture: a YOLOX head of two classes, and what others are made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit.artifact import described, write
from edgekit.core.schema import Manifest, Port, Postprocess, Preprocess, Source, Target, TensorSpec
from edgekit.tasks.decoding.recognise import recognise

IMAGE_SPEC = TensorSpec(name="images", shape=(1, 3, 64, 96), dtype="float32")
ROWS_SPEC = TensorSpec(name="rows", shape=(1, 126, 7), dtype="float32")


def constant_detector(rows: NDArray[np.float32]) -> bytes:
    """An ONNX file that always answers `rows` [1, 126, 7], plus nothing made of its picture."""
    return constant_model({"rows": rows})


def constant_model(answers: Mapping[str, NDArray[np.float32]]) -> bytes:
    """An ONNX file that always answers so, plus nothing made of its picture."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        *(helper.make_node("Add", [f"always_{name}", "nothing"], [name]) for name in answers),
    ]
    specs = [(IMAGE_SPEC.name, IMAGE_SPEC.shape), *((name, answer.shape) for name, answer in answers.items())]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in specs]
    constants = [numpy_helper.from_array(answer, f"always_{name}") for name, answer in answers.items()]
    constants.append(numpy_helper.from_array(np.zeros(1, np.float32), "zero"))
    graph = helper.make_graph(nodes, "constant", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def segmenting_artifact(path: Path) -> Path:
    """A real artifact of a YOLOv8-seg head of two classes, "person" and "thing", that always sees one of each, whatever it is shown:
    the person in the left half of the input, of whose box the left half is the shape, and the thing in the right half, whole."""
    rows, masks = np.zeros((1, 8, 126), np.float32), -np.ones((1, 2, 16, 24), np.float32)
    rows[0, :, 0] = [24, 32, 32, 32, 0.9, 0.0, 1.0, 0.0]
    rows[0, :, 1] = [72, 32, 32, 32, 0.0, 0.8, 0.0, 1.0]
    masks[0, 0, :, :6], masks[0, 1] = 1, 1
    specs = [TensorSpec(name=name, shape=array.shape, dtype="float32") for name, array in (("rows", rows), ("masks", masks))]
    known = recognise((IMAGE_SPEC,), specs)
    assert known is not None and known[1].head == "yolov8_seg"
    named = msgspec.structs.replace(known[1], labels=("person", "thing"))
    model = constant_model({"rows": rows, "masks": masks})
    return artifact_of(path, model, IMAGE_SPEC, *specs, preprocess=known[0], postprocess=named)


def artifact_of(
    path: Path, model: bytes, spec_in: TensorSpec, *specs_out: TensorSpec, **changes: Preprocess | Postprocess | None
) -> Path:
    """An artifact around an ONNX file with one input; `changes` replace fields of its manifest, and stand for what is not recognised."""
    known = recognise((spec_in,), specs_out) or (None, None)
    assert known[0] is not None or {"preprocess", "postprocess"} <= changes.keys()
    files = {"model.onnx": model}
    manifest = Manifest(
        schema_version=1,
        name=path.name,
        target=Target(device="test", runtime="onnxruntime", format="onnx", precision="fp32"),
        runtimes=("onnxruntime",),
        files=described(files, {"model.onnx": "model"}),
        inputs=(Port(source=spec_in, engine=spec_in),),
        outputs=tuple(Port(source=spec, engine=spec) for spec in specs_out),
        source=Source(name="model.onnx", sha256="0" * 64, bytes=1, framework="onnx"),
        steps=(),
        preprocess=known[0],
        postprocess=known[1],
    )
    return write(path, msgspec.structs.replace(manifest, **changes), files).path
