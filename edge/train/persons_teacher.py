"""The teacher: YOLOX-Nano from its ONNX file, as weights of the same table of layers; what it knows is where the student begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.optional import need
from edgekit.train.persons_network import STRIDES, Detector, Layer, detector

if TYPE_CHECKING:
    from torch import Tensor

Kernels = Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]
CLASSES, PERSON = 80, 0


def read(path: Path) -> dict[str, NDArray[np.float32]]:
    """The weights of the YOLOX-Nano file at `path`, by the names of `detector(CLASSES)`. Raises `InputError` for other models."""
    onnx = need("onnx")
    model = onnx.load(str(path))
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "Conv"]
    kernels = [(arrays[node.input[1]], arrays[node.input[2]]) for node in nodes if {*node.input[1:3]} <= arrays.keys()]
    return named(kernels, path.name)


def named(kernels: Kernels, source: str) -> dict[str, NDArray[np.float32]]:
    """Kernels and biases in the order of YOLOX-Nano's graph, by the names of the table."""
    table = detector(CLASSES)
    layers = table.convolutions()
    if len(kernels) != len(layers):
        raise InputError(
            f"{source!r} has {len(kernels)} convolutions, YOLOX-Nano has {len(layers)}", "edgekit models pull yolox-nano"
        )
    weights: dict[str, NDArray[np.float32]] = {}
    for layer, (kernel, bias) in zip(layers, kernels, strict=True):
        kernel = unsliced(kernel) if layer.name == "stem" and kernel.shape[1] == 12 else kernel
        if kernel.shape != shape_of(table, layer):
            raise InputError(f"{source!r}: {layer.name} is {kernel.shape}, YOLOX-Nano has {shape_of(table, layer)}")
        weights |= {f"{layer.name}.weight": kernel.astype(np.float32), f"{layer.name}.bias": bias.astype(np.float32)}
    return weights


def shape_of(table: Detector, layer: Layer) -> tuple[int, int, int, int]:
    """Shape of a layer's kernel."""
    return layer.channels, table.inputs_of(layer) // layer.groups, layer.kernel, layer.kernel


def unsliced(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """A 3x3 kernel over four slices of every second pixel as the 6x6 kernel of stride two that does the same."""
    whole = np.zeros((len(kernel), 3, 6, 6), np.float32)
    for slice_, (row, column) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        whole[:, :, row::2, column::2] = kernel[:, 3 * slice_ : 3 * slice_ + 3]
    return whole


def for_persons(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of a teacher's weights with one class left."""
    kept = {name: tensor.clone() for name, tensor in weights.items()}
    for stride in STRIDES:
        for part in ("weight", "bias"):
            kept[f"head{stride}_classes.{part}"] = kept[f"head{stride}_classes.{part}"][PERSON : PERSON + 1].clone()
    return kept
