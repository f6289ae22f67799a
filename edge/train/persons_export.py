"""The trained person detector as an ONNX file that ends in YOLOX's head: the table of layers, written node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import ConversionError
from edgekit.core.optional import need
from edgekit.core.schema import Postprocess, Preprocess
from edgekit.train.export import IR_VERSION, LICENCE, OPSET
from edgekit.train.persons_network import INPUT, STRIDES, Detector, Layer, detector

if TYPE_CHECKING:
    import onnx

Weights = Mapping[str, NDArray[np.float32]]
OUTPUT = "output"
COLUMNS = 6
"""Of a cell: x, y, w, h, objectness and the one class."""
TOLERANCE = 1e-3
SCORE = 0.4
"""From which a detection is shown unless told otherwise."""


def onnx_model(weights: Weights, height: int, width: int) -> onnx.ModelProto:
    """The detector for pictures of one size: `images` [1, 3, height, width], BGR of 0..255, to `output` [1, cells, 6]."""
    onnx = need("onnx")
    helper, numpy_helper, FLOAT = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT  # noqa: N806
    table = detector()
    cells = sum((height // stride) * (width // stride) for stride in STRIDES)
    constants = {"twice": np.array([1, 1, 2, 2], np.float32), "rows": np.array([1, COLUMNS, -1], np.int64)}
    graph = helper.make_graph(
        [node for layer in table.layers for node in _nodes(layer)] + _tail(table),
        "persons",
        [helper.make_tensor_value_info(INPUT, FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info(OUTPUT, FLOAT, [1, cells, COLUMNS])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in {**weights, **constants}.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name, model.producer_version = "edgekit", ""
    helper.set_model_props(model, {"edgekit": metadata(height, width)})
    onnx.checker.check_model(model, full_check=True)
    return model


def metadata(height: int, width: int) -> str:
    """The JSON that tells edgekit's importer how to feed the network and how to read its answer."""
    pre = Preprocess(input=INPUT, height=height, width=width, layout="nchw", color="bgr", resize="letterbox", pad_value=114.0)
    post = Postprocess(task="detection", head="yolox", labels=("person",), score_threshold=SCORE)
    return msgspec.json.encode({"preprocess": pre, "postprocess": post, "licence": LICENCE}, order="deterministic").decode()


def _nodes(layer: Layer) -> list[onnx.NodeProto]:
    """The nodes of one layer; the last one makes the tensor called like it."""
    make = need("onnx").helper.make_node
    inputs, name = list(layer.inputs), layer.name
    if layer.op == "cat":
        return [make("Concat", inputs, [name], name=name, axis=1)]
    if layer.op == "add":
        return [make("Add", inputs, [name], name=name)]
    if layer.op == "up":
        modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return [make("Resize", [*inputs, "", "twice"], [name], name=name, **modes)]
    window: dict[str, Any] = {"kernel_shape": [layer.kernel] * 2, "pads": [layer.pad] * 4, "strides": [layer.stride] * 2}
    if layer.op == "pool":
        return [make("MaxPool", inputs, [name], name=name, **window)]
    inner = f"{name}_conv" if layer.active else name
    conv = make("Conv", [*inputs, f"{name}.weight", f"{name}.bias"], [inner], name=inner, group=layer.groups, **window)
    if not layer.active:
        return [conv]
    gate = f"{name}_gate"
    return [conv, make("Sigmoid", [inner], [gate], name=gate), make("Mul", [inner, gate], [name], name=name)]


def _tail(table: Detector) -> list[onnx.NodeProto]:
    """Scores squashed, the maps of all strides as rows of cells."""
    make = need("onnx").helper.make_node
    nodes, levels = [], []
    for stride, (box, objectness, person) in zip(STRIDES, table.maps, strict=True):
        scores = [f"{name}_score" for name in (objectness, person)]
        nodes += [
            make("Sigmoid", [name], [score], name=score) for name, score in zip((objectness, person), scores, strict=True)
        ]
        level = f"level{stride}_cells"
        nodes.append(make("Concat", [box, *scores], [f"{level}_map"], name=f"{level}_map", axis=1))
        nodes.append(make("Reshape", [f"{level}_map", "rows"], [level], name=level))
        levels.append(level)
    nodes.append(make("Concat", levels, ["cells"], name="cells", axis=2))
    return [*nodes, make("Transpose", ["cells"], [OUTPUT], name=OUTPUT, perm=[0, 2, 1])]


def largest_difference(data: bytes, maps: Sequence[NDArray[np.float32]], image: NDArray[np.float32]) -> float:
    """Largest difference between the file in ONNX Runtime and PyTorch's `maps` of the same `image` [1, 3, H, W].

    Raises `ConversionError` when it is more than `TOLERANCE`.
    """
    session = need("onnxruntime").InferenceSession(data, providers=["CPUExecutionProvider"])
    rows = np.concatenate([level.reshape(COLUMNS, -1) for level in maps], 1).T.astype(np.float64)
    rows[:, 4:] = 1 / (1 + np.exp(-rows[:, 4:]))
    difference = float(np.abs(session.run([OUTPUT], {INPUT: image})[0][0] - rows).max())
    if not difference <= TOLERANCE:
        raise ConversionError(f"the exported file differs from the network by {difference:.2g}, allowed is {TOLERANCE:g}")
    return difference
