"""Operators that changed their form over the years compute, after import, what the file computed as it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.importers.onnx.file import load
from edgekit.converters.optimise import optimise
from edgekit.runtimes.onnxruntime import execute

F, I = np.float32, np.int64  # noqa: E741


@dataclass(frozen=True, kw_only=True)
class Old:
    """One node in the form of an operator set, over an input of that shape."""

    op: str
    opsets: Sequence[int]
    shape: tuple[int, ...] = (1, 4, 6, 5)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1


CASES = {
    "upsample, nearest": Old(op="Upsample", opsets=[9], attributes={"mode": "nearest"}, constants={"s": np.array([1, 1, 2, 3], F)}),
    "upsample, linear": Old(op="Upsample", opsets=[9], attributes={"mode": "linear"}, constants={"s": np.array([1, 1, 2, 2], F)}),
    "resize of set 10, nearest": Old(op="Resize", opsets=[10], attributes={"mode": "nearest"}, constants={"s": np.array([1, 1, 2, 2], F)}),
    "resize of set 10, linear": Old(op="Resize", opsets=[10], attributes={"mode": "linear"}, constants={"s": np.array([1, 1, 2, 2], F)}),
    "resize of set 10, nearest, smaller": Old(op="Resize", opsets=[10], shape=(1, 2, 7, 9), attributes={"mode": "nearest"}, constants={"s": np.array([1, 1, 0.5, 0.5], F)}),
    "resize by sizes": Old(op="Resize", opsets=[11, 13, 17, 18, 19], attributes={"mode": "linear"}, constants={"r": np.array([], F), "s": np.array([], F), "z": np.array([1, 4, 9, 10], I)}),
    "resize, asymmetric": Old(op="Resize", opsets=[11, 13, 18, 19], attributes={"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, constants={"r": np.array([], F), "s": np.array([1, 1, 2, 2], F)}),
    "clip with attributes": Old(op="Clip", opsets=[9, 10], attributes={"min": -0.5, "max": 0.75}),
    "clip with inputs": Old(op="Clip", opsets=[11, 12, 13, 17, 21], constants={"lo": np.array(-0.5, F), "hi": np.array(0.75, F)}),
    "dropout with a ratio": Old(op="Dropout", opsets=[9, 10, 11], attributes={"ratio": 0.5}),
    "squeeze with attributes": Old(op="Squeeze", opsets=[9, 11, 12], attributes={"axes": [0]}),
    "squeeze with an input": Old(op="Squeeze", opsets=[13, 17, 21], constants={"axes": np.array([0], I)}),
    "unsqueeze with attributes": Old(op="Unsqueeze", opsets=[9, 11, 12], attributes={"axes": [1]}),
    "sum with attributes": Old(op="ReduceSum", opsets=[9, 11, 12], attributes={"axes": [2], "keepdims": 0}),
    "mean with attributes": Old(op="ReduceMean", opsets=[9, 11, 13, 17], attributes={"axes": [2, 3]}),
    "mean with an input": Old(op="ReduceMean", opsets=[18, 21], constants={"axes": np.array([2, 3], I)}),
    "slice with attributes": Old(op="Slice", opsets=[9], attributes={"starts": [1, 0], "ends": [3, 99], "axes": [1, 3]}),
    "slice with inputs": Old(op="Slice", opsets=[10, 11, 13, 17], constants={"s": np.array([4], I), "e": np.array([-99], I), "a": np.array([2], I), "t": np.array([-2], I)}),
    "pad with attributes": Old(op="Pad", opsets=[9, 10], attributes={"pads": [0, 0, 1, 2, 0, 0, 3, 0], "value": 0.25}),
    "pad with inputs": Old(op="Pad", opsets=[11, 13, 18, 21], constants={"p": np.array([0, 0, 1, 2, 0, 0, 3, 0], I), "v": np.array(0.25, F)}),
    "batch norm": Old(op="BatchNormalization", opsets=[9, 13, 14, 15, 17], constants={k: np.linspace(0.5, 1.5, 4).astype(F) for k in ("g", "b", "m", "v")}),
    "softmax over all after the axis": Old(op="Softmax", opsets=[9, 11, 12], attributes={"axis": 1}),
    "softmax by default": Old(op="Softmax", opsets=[9, 11, 12, 13, 17]),
    "logarithm of softmax over all after the axis": Old(op="LogSoftmax", opsets=[9, 11, 12], attributes={"axis": 2}),
    "split with attributes": Old(op="Split", opsets=[9, 11, 12], attributes={"axis": 1, "split": [1, 3]}, outputs=2),
    "split with an input": Old(op="Split", opsets=[13, 17, 18], attributes={"axis": 1}, constants={"n": np.array([1, 3], I)}, outputs=2),
    "the largest, by attribute": Old(op="TopK", opsets=[10], shape=(3, 7), constants={"k": np.array([2], I)}, outputs=2),
    "global pooling": Old(op="GlobalAveragePool", opsets=[9, 13, 17, 22]),
    "average pooling": Old(op="AveragePool", opsets=[9, 10, 11, 17, 19, 22], attributes={"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "prelu": Old(op="PRelu", opsets=[9, 16, 17], constants={"s": np.full((4, 1, 1), 0.25, F)}),
    "flatten": Old(op="Flatten", opsets=[9, 11, 13, 21]),
    "matrix product": Old(op="Gemm", opsets=[9, 11, 13], shape=(3, 4), attributes={"alpha": 0.5, "beta": 2.0}, constants={"w": np.arange(8, dtype=F).reshape(4, 2), "b": np.ones(2, F)}),
    "layer norm": Old(op="LayerNormalization", opsets=[17, 21], constants={"g": np.ones(5, F), "b": np.zeros(5, F)}),
    "depth to space": Old(op="DepthToSpace", opsets=[9, 11, 13], attributes={"blocksize": 2}),
    "one-dimensional expand": Old(op="Expand", opsets=[9, 13], constants={"s": np.array([2, 4, 6, 5], I)}),
}  # fmt: skip


@pytest.mark.parametrize(("name", "opset"), [(name, opset) for name, case in CASES.items() for opset in case.opsets])
def test_a_form_of_its_time_computes_the_same_after_import(name: str, opset: int, tmp_path: Path) -> None:
    case = CASES[name]
    outputs = [f"y{i}" for i in range(case.outputs)]
    node = helper.make_node(case.op, ["x", *case.constants], outputs, name="the_node", **case.attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, case.shape)],
        [helper.make_empty_tensor_value_info(output) for output in outputs],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in case.constants.items()],
    )
    bare = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=min(8, 4 + opset))
    model = onnx.shape_inference.infer_shapes(bare)
    path = tmp_path / "old.onnx"
    path.write_bytes(model.SerializeToString())
    feed = {"x": np.random.default_rng(0).normal(size=case.shape).astype(F)}
    expected, found = execute(path)(feed), execute(to_bytes(optimise(load(path).graph)))(feed)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-6)
