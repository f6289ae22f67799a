"""A source model measures what its targets share once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit.conversion.source import open_source


def test_channels_are_equalised_once_for_all_targets(model: Path, samples: list) -> None:
    source = open_source(model, input_shapes={}, preprocess={}, calibration=samples, limit=32)
    assert source.equalised() is source.equalised()


def test_with_few_samples_channels_are_lifted_only_where_those_held_back_gain(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(uneven(), path)
    alike = [feed(quiet=0.02) for _ in range(6)]
    surprised = [feed(quiet=0.02) for _ in range(4)] + [feed(quiet=5.0) for _ in range(2)]
    for samples, lifted in ((alike, True), (surprised, False)):
        source = open_source(path, input_shapes={}, preprocess={}, calibration=samples, limit=32)
        kernels = {name for name in source.equalised().constants if "/equalised/" in name}
        assert bool(kernels) is lifted


RANDOM = np.random.default_rng(4)


def feed(*, quiet: float) -> dict[str, NDArray[np.float32]]:
    """Four channels, three of them as loud as that."""
    loudness = np.array([1.0, quiet, quiet, quiet]).reshape(1, 4, 1, 1)
    return {"x": (RANDOM.uniform(0, 1, (1, 4, 12, 12)) * loudness).astype(np.float32)}


def uneven() -> onnx.ModelProto:
    """Each channel by itself, then one sum in which the small ones count as much as the large one."""
    constants = {
        "w": np.ones((4, 1, 1, 1), np.float32),
        "v": np.array([1, 50, 50, 50], np.float32).reshape(1, 4, 1, 1) * RANDOM.normal(size=(2, 4, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], group=4),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "v"], ["y"]),
    ]
    ends = (
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 12, 12))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 2, 10, 10))],
    )
    graph = helper.make_graph(
        nodes, "uneven", *ends, [numpy_helper.from_array(value, name) for name, value in constants.items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
