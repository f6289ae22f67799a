"""Graphs with what training and exporters leave behind: dead channels, integers beyond 32 bits, sizes of nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import edgekit
from edgekit.core.errors import EdgekitError, InputError

TARGETS = ["cpu", "rpi", "coral", "jetson"]


def model(nodes: list[onnx.NodeProto], constants: dict[str, NDArray[Any]], shape: list[int], kind: int = 1) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def with_dead_channels(bias: float) -> onnx.ModelProto:
    """Of eight channels one has no weights, one neither weights nor bias, and one is never above zero."""
    random = np.random.RandomState(0)
    weights = {"w": random.randn(8, 3, 3, 3), "v": random.randn(4, 8, 3, 3) / 8, "b": random.randn(8)}
    weights["w"][:3] = 0
    weights["b"][:3] = [bias, 0, -1]
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Conv", ["r", "v"], ["y"], pads=[1, 1, 1, 1]),
    ]
    return model(nodes, {name: value.astype(np.float32) for name, value in weights.items()}, [1, 3, 12, 12])


@pytest.mark.parametrize("bias", [0.7, 1e4], ids=["a usual bias", "a bias far beyond its weights"])
@pytest.mark.parametrize("target", TARGETS)
def test_dead_channels_stay_numbers_in_integers(target: str, bias: float, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    samples = [{"x": random.normal(size=(1, 3, 12, 12)).astype(np.float32)} for _ in range(8)]
    made = edgekit.convert(
        with_dead_channels(bias), target=target, precision="int8", calibration=samples, output=tmp_path, allow_cpu_ops=True
    )
    assert made.manifest.parity is not None and made.manifest.parity.ok
    assert np.isfinite(made.manifest.parity.value)


def test_pruning_takes_dead_channels_first(tmp_path: Path) -> None:
    from edgekit.converters.importers.objects import from_object
    from edgekit.converters.prune import prune

    graph = from_object(with_dead_channels(0.0), name="dead", input_shapes={}).graph
    pruned = prune(graph, share=0.2, multiple=1)
    (kept,) = (places for name, places in pruned.kept.items() if len(places) < 8 and graph.shape(name)[1] == 8)
    assert set(range(3, 8)) <= set(kept.tolist())


@pytest.mark.parametrize("number", [2**31, 2**40, -(2**62)])
@pytest.mark.parametrize("target", ["cpu", "rpi"])
def test_integers_beyond_32_bits_are_kept_or_named_and_never_wrapped(target: str, number: int, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Add", ["i", "large"], ["s"]),
        helper.make_node("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "scale"], ["y"]),
    ]
    scale = np.float32(1 / abs(number)).reshape(1)
    proto = model(nodes, {"large": np.array([number]), "scale": scale}, [1, 4])
    try:
        made = edgekit.convert(proto, target=target, precision="fp32", output=tmp_path)
    except EdgekitError as error:
        assert "large" in error.message or "int64" in error.message or "Add" in error.message or "Cast" in error.message
        return
    with edgekit.load(made.path) as session:
        found = session.run({"x": np.float32([[1, 2, 3, 4]])})["y"]
    np.testing.assert_allclose(found, np.full((1, 4), np.sign(number)), rtol=1e-5)


def test_ends_as_large_as_integers_go_mean_the_end(tmp_path: Path) -> None:
    bounds = {"start": np.array([1]), "end": np.array([np.iinfo(np.int64).max]), "axis": np.array([1])}
    proto = model([helper.make_node("Slice", ["x", "start", "end", "axis"], ["y"])], bounds, [1, 4])
    made = edgekit.convert(proto, target="rpi", precision="fp32", output=tmp_path)
    with edgekit.load(made.path) as session:
        assert session.run({"x": np.float32([[1, 2, 3, 4]])})["y"].tolist() == [[2, 3, 4]]


@pytest.mark.parametrize("shape", [[1, 0], [0, 4], [1, 3, 0, 8]])
@pytest.mark.parametrize("asked", [False, True], ids=["as it is", "with a shape asked for"])
def test_an_input_without_elements_is_named(shape: list[int], asked: bool, tmp_path: Path) -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])], {}, shape)
    with pytest.raises(InputError, match="input 'x' has a dimension of size 0"):
        edgekit.convert(proto, input_shapes={"x": tuple(size or 1 for size in shape)} if asked else None, output=tmp_path)
