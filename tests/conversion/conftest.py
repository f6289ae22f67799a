"""Small models made here, and pictures to calibrate them on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.core.files import write_atomically


def classifier(seed: int = 0, batch: int | str = 1) -> onnx.ModelProto:
    """Conv, Relu, MaxPool, Conv, Relu, pooling, Gemm, Softmax on a 3x32x32 picture; ten classes."""
    rng = np.random.default_rng(seed)
    weights = {
        "w1": rng.normal(0, 0.4, (8, 3, 3, 3)),
        "b1": rng.normal(0, 0.1, 8),
        "w2": rng.normal(0, 0.25, (16, 8, 3, 3)),
        "b2": rng.normal(0, 0.1, 16),
        "w3": rng.normal(0, 0.5, (10, 16)),
        "b3": rng.normal(0, 0.1, 10),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 32, 32])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [batch, 10])],
        initializer=[numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write a model to a file of that name."""

    def saved(model: onnx.ModelProto, name: str = "classifier.onnx") -> Path:
        write_atomically(tmp_path / name, model.SerializeToString())
        return tmp_path / name

    return saved


@pytest.fixture
def model(save: Callable[..., Path]) -> Path:
    """The classifier in a file."""
    return save(classifier())


@pytest.fixture
def samples() -> list[dict[str, np.ndarray]]:
    """Smooth random pictures in 0..1."""
    rng = np.random.default_rng(7)
    noise = rng.random((24, 1, 3, 32, 32), np.float32)
    smooth = (noise + np.roll(noise, 1, -1) + np.roll(noise, 1, -2)) / 3
    return [{"image": picture} for picture in smooth]
