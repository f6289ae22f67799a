"""From trained weights to a small, clean ONNX file: batch norm folded away, softmax added, the same bytes every time.

The graph is written node by node: PyTorch's older exporter is announced as going away and its newer one writes operator set
18 and later, while every edge compiler reads 13.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import ConversionError
from edgekit.core.optional import need
from edgekit.core.schema import Postprocess, Preprocess
from edgekit.train.network import CLASSES, LAYERS, SIDE, Conv

if TYPE_CHECKING:
    import onnx
    from torch import nn

Weights = Mapping[str, NDArray[np.float32]]

OPSET = 13
IR_VERSION = 8
INPUT, OUTPUT = "image", "probabilities"
LICENCE = "Apache-2.0"
TOLERANCE = 1e-5

PREPROCESS = Preprocess(input=INPUT, height=SIDE, width=SIDE, layout="nchw", color="gray", scale=1 / 255)
POSTPROCESS = Postprocess(task="classification", head="classification", labels=tuple("0123456789"))


def folded(network: nn.Module) -> Weights:
    """Weights and biases by name, each batch norm folded into the convolution before it (in float64, then rounded once)."""
    state = {name: value.double().numpy() for name, value in network.state_dict().items()}
    epsilon = {name: module.eps for name, module in network.named_children() if name.endswith("_norm")}
    weights: dict[str, NDArray[np.float32]] = {}
    for layer in LAYERS:
        norm = f"{layer.name}_norm"
        gain = state[f"{norm}.weight"] / np.sqrt(state[f"{norm}.running_var"] + epsilon[norm])
        bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain
        weights[f"{layer.name}.weight"] = (state[f"{layer.name}.weight"] * gain[:, None, None, None]).astype(np.float32)
        weights[f"{layer.name}.bias"] = bias.astype(np.float32)
    for name in ("classify.weight", "classify.bias"):
        weights[name] = state[name].astype(np.float32)
    return weights


def onnx_model(weights: Weights) -> onnx.ModelProto:
    """The network as ONNX: `image` float32 [1, 1, 28, 28] in 0..1 (white ink) to `probabilities` float32 [1, 10]."""
    onnx = need("onnx")
    helper, numpy_helper, FLOAT = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT  # noqa: N806
    graph = helper.make_graph(
        _nodes(),
        "digits",
        [helper.make_tensor_value_info(INPUT, FLOAT, [1, 1, SIDE, SIDE])],
        [helper.make_tensor_value_info(OUTPUT, FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name, model.producer_version = "edgekit", ""
    helper.set_model_props(model, {"edgekit": metadata()})
    onnx.checker.check_model(model, full_check=True)
    return model


def metadata() -> str:
    """The JSON that tells edgekit's importer how to feed the network and how to read its answer."""
    content = {"preprocess": PREPROCESS, "postprocess": POSTPROCESS, "licence": LICENCE}
    return msgspec.json.encode(content, order="deterministic").decode()


def to_bytes(model: onnx.ModelProto) -> bytes:
    """The file's bytes: fields in order, so equal models give equal bytes."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def largest_difference(data: bytes, network: nn.Module, images: NDArray[np.uint8]) -> float:
    """Largest difference of a probability between the ONNX file in ONNX Runtime and `network` in PyTorch.

    `images` are uint8 [N, 28, 28]. Raises `ConversionError` when it is more than `TOLERANCE`.
    """
    torch, session = need("torch"), need("onnxruntime").InferenceSession(data, providers=["CPUExecutionProvider"])
    feed = images[:, None].astype(np.float32) / np.float32(255)
    ours = np.concatenate([session.run([OUTPUT], {INPUT: image[None]})[0] for image in feed])
    with torch.no_grad():
        theirs = torch.softmax(network.eval()(torch.from_numpy(feed)), 1).numpy()
    difference = float(np.abs(ours - theirs).max())
    if not difference <= TOLERANCE:
        raise ConversionError(
            f"the exported file differs from the trained network by {difference:.2g}, allowed is {TOLERANCE:g}"
        )
    return difference


def _nodes() -> list[onnx.NodeProto]:
    """The nodes in order; every tensor is named after the node that makes it."""
    make = need("onnx").helper.make_node
    nodes: list[onnx.NodeProto] = []
    tensor = INPUT
    for layer in LAYERS:
        nodes += _conv_nodes(layer, tensor)
        tensor = nodes[-1].output[0]
    return [
        *nodes,
        make("GlobalAveragePool", [tensor], ["mean"], name="mean"),
        make("Flatten", ["mean"], ["features"], name="features", axis=1),
        make("Gemm", ["features", "classify.weight", "classify.bias"], ["logits"], name="classify", transB=1),
        make("Softmax", ["logits"], [OUTPUT], name="softmax", axis=1),
    ]


def _conv_nodes(layer: Conv, tensor: str) -> list[onnx.NodeProto]:
    """Convolution, ReLU, and pooling where the layer pools."""
    make = need("onnx").helper.make_node
    names: dict[str, Any] = {"conv": f"{layer.name}_conv", "relu": f"{layer.name}_relu", "pool": f"{layer.name}_pool"}
    inputs = [tensor, f"{layer.name}.weight", f"{layer.name}.bias"]
    window = {"kernel_shape": [layer.kernel] * 2, "pads": [layer.pad] * 4, "strides": [1, 1]}
    nodes = [
        make("Conv", inputs, [names["conv"]], name=names["conv"], **window),
        make("Relu", [names["conv"]], [names["relu"]], name=names["relu"]),
    ]
    if layer.pool > 1:
        window = {"kernel_shape": [layer.pool] * 2, "strides": [layer.pool] * 2}
        nodes.append(make("MaxPool", [names["relu"]], [names["pool"]], name=names["pool"], **window))
    return nodes
