"""Models with shapes, axes, slices and indices in them, each of which damage may turn into nonsense."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tiny import Op, T, tflite


def busy_onnx() -> bytes:
    """A small ONNX file."""
    integers = {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "starts": [1], "ends": [5], "axes": [2], "shape": [1, -1]}
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["a"]),
        helper.make_node("Slice", ["a", "starts", "ends", "axes"], ["b"]),
        helper.make_node("Conv", ["b", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("Resize", ["c", "", "scales"], ["d"], mode="nearest"),
        helper.make_node("Concat", ["d", "d"], ["e"], axis=1),
        helper.make_node("Transpose", ["e"], ["f"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["f", "shape"], ["y"]),
    ]
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in integers.items()]
    constants.append(numpy_helper.from_array(np.ones((2, 2, 3, 3), np.float32), "w"))
    constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    graph = helper.make_graph(
        nodes,
        "busy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString(deterministic=True))


def busy_tflite() -> bytes:
    """A small TFLite file."""
    i32 = np.int32
    tensors = [
        T(name="x", shape=(1, 4, 4, 2), dtype="float32"),
        T(name="p", shape=(4, 2), dtype="int32", data=np.array([[0, 0], [1, 1], [1, 1], [0, 0]], i32)),
        T(name="a", shape=(1, 6, 6, 2), dtype="float32"),
        T(name="b", shape=(3,), dtype="int32", data=np.array([0, 1, 1], i32)),
        T(name="e", shape=(3,), dtype="int32", data=np.array([1, 5, 5], i32)),
        T(name="s", shape=(3,), dtype="int32", data=np.array([1, 2, 2], i32)),
        T(name="c", shape=(1, 2, 2, 2), dtype="float32"),
        T(name="size", shape=(2,), dtype="int32", data=np.array([3, 3], i32)),
        T(name="d", shape=(1, 3, 3, 2), dtype="float32"),
        T(name="axes", shape=(2,), dtype="int32", data=np.array([1, 2], i32)),
        T(name="m", shape=(1, 2), dtype="float32"),
        T(name="dims", shape=(2,), dtype="int32", data=np.array([2, 1], i32)),
        T(name="y", shape=(2, 1), dtype="float32"),
    ]
    ops = [
        Op(op="PAD", inputs=["x", "p"], outputs=["a"]),
        Op(op="STRIDED_SLICE", inputs=["a", "b", "e", "s"], outputs=["c"], options_type="StridedSliceOptions", options={"endMask": 0}),
        Op(op="RESIZE_BILINEAR", inputs=["c", "size"], outputs=["d"], options_type="ResizeBilinearOptions"),
        Op(op="MEAN", inputs=["d", "axes"], outputs=["m"], options_type="ReducerOptions", options={"keepDims": 0}),
        Op(op="RESHAPE", inputs=["m", "dims"], outputs=["y"]),
    ]  # fmt: skip
    return tflite(tensors, ops, ["x"], ["y"])
