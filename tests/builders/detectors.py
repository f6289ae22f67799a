"""Real artifacts that say the same of every picture: a YOLOX head of two classes, and what others are made of."""

from __future__ import annotations

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
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["answer", "nothing"], ["rows"]),
    ]
    ends = [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, spec.shape) for spec in (IMAGE_SPEC, ROWS_SPEC)]
    constants = [numpy_helper.from_array(rows, "answer"), numpy_helper.from_array(np.zeros((1, 1, 1), np.float32), "zero")]
    graph = helper.make_graph(nodes, "constant", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


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
