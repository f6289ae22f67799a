"""Pools that round up have the shapes that engines make; what onnx cannot bring to a newer operator set is said in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

import edgekit
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.importers.onnx.ceilings import graph_as_run
from edgekit.converters.importers.onnx.file import load
from edgekit.converters.importers.onnx.said import said
from edgekit.core.errors import Unsupported
from edgekit.runtimes.onnxruntime import execute


def pool(op: str = "AveragePool", *, size: int = 5, kernel: int = 2, stride: int = 3, pad: int = 1) -> onnx.ModelProto:
    """A pool that rounds up, then a view of what it gives."""
    attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4, "ceil_mode": 1}
    nodes = [
        helper.make_node(op, ["x"], ["p"], name="pool", **attributes),
        helper.make_node("Flatten", ["p"], ["y"], name="flat"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 2, size, size))],
        [helper.make_empty_tensor_value_info("y")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@given(
    op=st.sampled_from(["AveragePool", "MaxPool"]), size=st.integers(4, 9), kernel=st.integers(1, 4), stride=st.integers(1, 5),
    data=st.data(),
)  # fmt: skip
def test_a_pool_that_rounds_up_has_the_shape_that_the_engine_makes(
    op: str, size: int, kernel: int, stride: int, data: st.DataObject
) -> None:
    graph = graph_as_run(pool(op, size=size, kernel=kernel, stride=stride, pad=data.draw(st.integers(0, kernel - 1))), "g")
    assert execute(to_bytes(graph))({"x": np.ones((1, 2, size, size), np.float32)})["y"].shape == graph.outputs[0].shape


def test_a_last_window_wholly_in_padding_is_none_in_tflite_either(tmp_path: Path) -> None:
    onnx.save(pool(), tmp_path / "pool.onnx")
    found = edgekit.convert(tmp_path / "pool.onnx", target="rpi5", precision="fp32", output=tmp_path / "out")
    assert found.manifest.outputs[0].source.shape == (1, 8)
    assert found.manifest.parity is not None
    assert found.manifest.parity.ok


def test_a_normalization_of_an_old_set_that_is_in_training_is_named(tmp_path: Path) -> None:
    reads, writes = ["x", "s", "b", "m", "v"], ["y", "m2", "v2", "m3", "v3"]
    graph = helper.make_graph(
        [helper.make_node("BatchNormalization", reads, writes, name="norm")],
        "g",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, 2, 4, 4) if name == "x" else (2,)) for name in reads],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, 2, 4, 4))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "old.onnx")
    with pytest.raises(Unsupported, match="BatchNormalization at 'norm' is written for training") as caught:
        load(tmp_path / "old.onnx")
    assert "opset 17" in caught.value.hint


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            "/a/b_13_14.h:18: adapt: Assertion `n < 4` failed: Outputs 4 and 5 are not supported.",
            "Outputs 4 and 5 are not supported",
        ),
        ("[Error] first\n/a/inliner.cc:418: GetType: Assertion `false` failed: Type unknown for x", "Type unknown for x"),
        ("plain words", "plain words"),
        ("", "RuntimeError"),
    ],
)
def test_what_onnx_says_is_shown_without_its_source_lines(raw: str, sentence: str) -> None:
    assert said(RuntimeError(raw)) == sentence
