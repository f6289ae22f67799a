"""Every operator in the table computes in LiteRT what ONNX Runtime computes, wherever it stands."""

from __future__ import annotations

from importlib import metadata

import numpy as np
import pytest

from edgekit.converters.lower.tflite.ops import TABLE

RNG = np.random.default_rng(7)
PICTURE = (1, 4, 9, 11)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def i64(*values):
    return np.array(values, np.int64)


def f32(*values):
    return np.array(values, np.float32)


def scalar(value):
    return np.array(value, np.float32)


# (shape, op, further constant inputs, attributes); None stands for an absent optional input
CASES = {
    "conv 1x1": (PICTURE, "Conv", [normal(6, 4, 1, 1), normal(6)], {}),
    "conv without bias": (PICTURE, "Conv", [normal(6, 4, 3, 3)], {}),
    "conv padded like SAME": (PICTURE, "Conv", [normal(6, 4, 3, 3), normal(6)], {"pads": [1, 1, 1, 1]}),
    "conv of stride 2, symmetric pads": ((1, 4, 8, 12), "Conv", [normal(6, 4, 3, 3), normal(6)], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    "conv padded on one side": (PICTURE, "Conv", [normal(6, 4, 3, 2), normal(6)], {"pads": [2, 0, 1, 1], "strides": [1, 2]}),
    "conv SAME_UPPER": (PICTURE, "Conv", [normal(6, 4, 4, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "conv SAME_LOWER": (PICTURE, "Conv", [normal(6, 4, 4, 3)], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "conv dilated": (PICTURE, "Conv", [normal(6, 4, 3, 3)], {"dilations": [2, 2], "pads": [2, 2, 2, 2]}),
    "conv depthwise": (PICTURE, "Conv", [normal(4, 1, 3, 3), normal(4)], {"group": 4, "pads": [1, 1, 1, 1]}),
    "conv depthwise, dilated": (PICTURE, "Conv", [normal(4, 1, 3, 3), normal(4)], {"group": 4, "dilations": [2, 2]}),
    "conv depthwise, two for one": (PICTURE, "Conv", [normal(8, 1, 3, 3), normal(8)], {"group": 4}),
    "conv grouped": (PICTURE, "Conv", [normal(6, 2, 3, 3), normal(6)], {"group": 2, "pads": [1, 1, 1, 1]}),
    "conv over a line": ((1, 4, 16), "Conv", [normal(6, 4, 5), normal(6)], {"pads": [2, 2], "strides": [2]}),
    "transposed conv 2x2": (PICTURE, "ConvTranspose", [normal(4, 5, 2, 2), normal(5)], {"strides": [2, 2]}),
    "transposed conv 4x4": (PICTURE, "ConvTranspose", [normal(4, 5, 4, 4), normal(5)], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "transposed conv with output padding": (
        PICTURE,
        "ConvTranspose",
        [normal(4, 5, 3, 3), normal(5)],
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ),
    "transposed conv cropped": (PICTURE, "ConvTranspose", [normal(4, 5, 3, 3)], {"pads": [2, 1, 0, 1]}),
    "transposed conv grouped": (PICTURE, "ConvTranspose", [normal(4, 1, 4, 4)], {"strides": [2, 2], "pads": [1, 1, 1, 1], "group": 4}),
    "transposed conv SAME_UPPER": (PICTURE, "ConvTranspose", [normal(4, 5, 3, 3)], {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "max pool": (PICTURE, "MaxPool", [], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "max pool padded like SAME": (PICTURE, "MaxPool", [], {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]}),
    "max pool padded, stride 2": ((1, 4, 8, 8), "MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "max pool rounding up": ((1, 4, 8, 8), "MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "max pool dilated": (PICTURE, "MaxPool", [], {"kernel_shape": [3, 2], "dilations": [2, 3], "strides": [2, 1], "pads": [2, 1, 1, 1]}),
    "max pool dilated, stride 3": (PICTURE, "MaxPool", [], {"kernel_shape": [2, 2], "dilations": [2, 2], "strides": [3, 3]}),
    "max pool over a line": ((1, 4, 16), "MaxPool", [], {"kernel_shape": [2], "strides": [2]}),
    "average pool": (PICTURE, "AveragePool", [], {"kernel_shape": [3, 3], "strides": [2, 2]}),
    "average pool padded like SAME": (PICTURE, "AveragePool", [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "average pool, padding counted": (
        PICTURE,
        "AveragePool",
        [],
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    "average pool, padding not counted": (
        (1, 4, 8, 8),
        "AveragePool",
        [],
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    ),
    "average pool rounding up": ((1, 4, 8, 8), "AveragePool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "average pool rounding up, padding counted": (
        (1, 4, 9, 8),
        "AveragePool",
        [],
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1, "count_include_pad": 1},
    ),
    "average pool over the first of three": (
        (1, 1, 8, 5, 6),
        "AveragePool",
        [],
        {"kernel_shape": [3, 1, 1], "pads": [1, 0, 0, 1, 0, 0], "count_include_pad": 1},
    ),
    "max pool over the last of three": ((1, 2, 4, 5, 9), "MaxPool", [], {"kernel_shape": [1, 1, 3], "strides": [1, 1, 2]}),
    "slice without bounds": (PICTURE, "Slice", [i64(-(2**63)), i64(2**63 - 1), i64(2), i64(2)], {}),
    "global average pool": (PICTURE, "GlobalAveragePool", [], {}),
    "global max pool": (PICTURE, "GlobalMaxPool", [], {}),
    "mean over space, dims dropped": (PICTURE, "ReduceMean", [], {"axes": [2, 3], "keepdims": 0}),
    "mean over channels": (PICTURE, "ReduceMean", [], {"axes": [1]}),
    "sum over rows": (PICTURE, "ReduceSum", [i64(2)], {"keepdims": 0}),
    "max over columns": (PICTURE, "ReduceMax", [], {"axes": [-1]}),
    "min over all": ((3, 5), "ReduceMin", [], {"keepdims": 0}),
    "add a scalar": (PICTURE, "Add", [scalar(0.5)], {}),
    "add a channel vector": (PICTURE, "Add", [normal(4, 1, 1)], {}),
    "add a row": (PICTURE, "Add", [normal(11)], {}),
    "subtract a picture": (PICTURE, "Sub", [normal(1, 4, 9, 11)], {}),
    "multiply by a column": (PICTURE, "Mul", [normal(9, 1)], {}),
    "multiply rank 3": ((2, 5, 3), "Mul", [normal(1, 5, 1)], {}),
    "divide by a constant": (PICTURE, "Div", [f32(3.0)], {}),
    "to the power of 2": (PICTURE, "Pow", [scalar(2.0)], {}),
    "to the power of 3": (PICTURE, "Pow", [scalar(3.0)], {}),
    "maximum": (PICTURE, "Max", [normal(4, 1, 1)], {}),
    "minimum of three": (PICTURE, "Min", [scalar(0.3), normal(4, 1, 1)], {}),
    "sum of three": (PICTURE, "Sum", [scalar(0.3), normal(4, 1, 1)], {}),
    "relu": (PICTURE, "Relu", [], {}),
    "relu6": (PICTURE, "Clip", [scalar(0.0), scalar(6.0)], {}),
    "clip to [-1, 1]": (PICTURE, "Clip", [scalar(-1.0), scalar(1.0)], {}),
    "clip to other bounds": (PICTURE, "Clip", [scalar(-0.5), scalar(0.7)], {}),
    "clip from below": (PICTURE, "Clip", [scalar(-0.5)], {}),
    "clip from above": (PICTURE, "Clip", [None, scalar(0.5)], {}),
    "clip to [0, 1]": (PICTURE, "Clip", [scalar(0.0), scalar(1.0)], {}),
    "leaky relu": (PICTURE, "LeakyRelu", [], {"alpha": 0.1}),
    "prelu per channel": (PICTURE, "PRelu", [normal(4, 1, 1)], {}),
    "prelu of one slope": (PICTURE, "PRelu", [f32(0.25)], {}),
    "sigmoid": (PICTURE, "Sigmoid", [], {}),
    "tanh": (PICTURE, "Tanh", [], {}),
    "hard sigmoid": (PICTURE, "HardSigmoid", [], {"alpha": 1 / 6, "beta": 0.5}),
    "hard sigmoid of another slope": (PICTURE, "HardSigmoid", [], {}),
    "hard swish": (PICTURE, "HardSwish", [], {}),
    "exponential": (PICTURE, "Exp", [], {}),
    "absolute": (PICTURE, "Abs", [], {}),
    "negated": (PICTURE, "Neg", [], {}),
    "rounded down": (PICTURE, "Floor", [], {}),
    "exponential linear": (PICTURE, "Elu", [], {}),
    "softmax over channels": (PICTURE, "Softmax", [], {"axis": 1}),
    "softmax over columns": (PICTURE, "Softmax", [], {"axis": -1}),
    "softmax of a matrix": ((3, 7), "Softmax", [], {}),
    "batch normalization": (PICTURE, "BatchNormalization", [normal(4), normal(4), normal(4), np.abs(normal(4)) + 1], {}),
    "gemm": ((2, 5), "Gemm", [normal(5, 3), normal(3)], {}),
    "gemm transposed and scaled": ((5, 2), "Gemm", [normal(3, 5), normal(1, 3)], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    "gemm without bias": ((2, 5), "Gemm", [normal(3, 5)], {"transB": 1}),
    "matmul by a constant": ((2, 5), "MatMul", [normal(5, 3)], {}),
    "matmul of a stack by a constant": ((2, 4, 5), "MatMul", [normal(5, 3)], {}),
    "matmul of a stack by one matrix": ((2, 3, 4, 5), "MatMul", [normal(1, 5, 3)], {}),
    "matmul of stacks": ((2, 4, 5), "MatMul", [normal(2, 5, 3)], {}),
    "transpose": (PICTURE, "Transpose", [], {"perm": [0, 2, 3, 1]}),
    "transpose of a matrix": ((3, 5), "Transpose", [], {}),
    "reshape": (PICTURE, "Reshape", [i64(1, 2, 2, 99)], {}),
    "reshape across": (PICTURE, "Reshape", [i64(9, 44)], {}),
    "flatten": (PICTURE, "Flatten", [], {}),
    "squeeze": ((1, 4, 1, 5), "Squeeze", [i64(0, 2)], {}),
    "unsqueeze": ((4, 5), "Unsqueeze", [i64(0, 3)], {}),
    "slice of channels": (PICTURE, "Slice", [i64(1), i64(3), i64(1)], {}),
    "slice with steps": (PICTURE, "Slice", [i64(1, 0), i64(2**62, -1), i64(2, 3), i64(2, 3)], {}),
    "split in halves": (PICTURE, "Split", [], {"axis": 1, "outputs": 2}),
    "split in parts": (PICTURE, "Split", [i64(1, 3)], {"axis": 1, "outputs": 2}),
    "gather channels": (PICTURE, "Gather", [i64(3, 0, -1)], {"axis": 1}),
    "gather one row": (PICTURE, "Gather", [np.array(2)], {"axis": 2}),
    "pad with zeros": (PICTURE, "Pad", [i64(0, 1, 2, 0, 0, 0, 1, 3)], {}),
    "pad with a value": (PICTURE, "Pad", [i64(0, 0, 2, 0, 0, 0, 1, 3), scalar(0.5)], {}),
    "pad by reflection": (PICTURE, "Pad", [i64(0, 0, 2, 1, 0, 0, 1, 3)], {"mode": "reflect"}),
    "resize nearest": (PICTURE, "Resize", [None, f32(1, 1, 2, 2)], {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
    "resize nearest, pixel centres": (PICTURE, "Resize", [None, f32(1, 1, 2, 3)], {}),
    "resize linear, pixel centres": (PICTURE, "Resize", [None, f32(1, 1, 2, 2)], {"mode": "linear"}),
    "resize linear, corners": (PICTURE, "Resize", [None, None, i64(1, 4, 17, 20)], {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    "resize linear, asymmetric": (PICTURE, "Resize", [None, f32(1, 1, 2, 2)], {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}),
    "depth to space": (PICTURE, "DepthToSpace", [], {"blocksize": 2}),
    "space to depth": ((1, 4, 8, 6), "SpaceToDepth", [], {"blocksize": 2}),
    "identity": (PICTURE, "Identity", [], {}),
    "dropout": (PICTURE, "Dropout", [], {}),
    "argmax over channels": (PICTURE, "ArgMax", [], {"axis": 1}),
    "argmax of a row, axis dropped": ((3, 7), "ArgMax", [], {"axis": -1, "keepdims": 0}),
    "layer normalization": ((2, 5, 8), "LayerNormalization", [normal(8), normal(8)], {}),
    "layer normalization without bias": ((2, 5, 8), "LayerNormalization", [normal(8)], {"epsilon": 1e-3}),
    "layer normalization of two dims": (PICTURE, "LayerNormalization", [normal(9, 11), normal(9, 11)], {"axis": 2}),
    "instance normalization": (PICTURE, "InstanceNormalization", [normal(4), normal(4)], {}),
    "length normalization": (PICTURE, "LpNormalization", [], {"axis": 1}),
    "transposed conv over a line": ((1, 4, 16), "ConvTranspose", [normal(4, 5, 4), normal(5)], {"pads": [1, 1], "strides": [2]}),
    "sign": (PICTURE, "Sign", [], {}),
    "gemm with a computed addend's factor": ((2, 5), "Gemm", [normal(5, 3), normal(2, 3)], {"alpha": 0.5, "beta": 2.0}),
    "gather rows of pictures": (PICTURE, "Gather", [np.array([[1, 0], [-1, 2]])], {"axis": 3}),
    "gather by coordinates in each of a batch": ((2, 4, 5), "GatherND", [np.array([[[0], [-1]], [[2], [2]]])], {"batch_dims": 1}),
    "gather by coordinates": (PICTURE, "GatherND", [np.array([[0, 1], [0, -1], [0, 2]])], {}),
    "expanded": ((4, 1, 5), "Expand", [i64(2, 4, 3, 5)], {}),
    "expanded by nothing": ((4, 5), "Expand", [i64(1, 4, 1)], {}),
    "repeated": (PICTURE, "Tile", [i64(1, 2, 1, 3)], {}),
    "softplus": (PICTURE, "Softplus", [], {}),
    "softsign": (PICTURE, "Softsign", [], {}),
    "selu": (PICTURE, "Selu", [], {}),
    "celu": (PICTURE, "Celu", [], {"alpha": 0.7}),
    "exponential linear of another slope": (PICTURE, "Elu", [], {"alpha": 0.5}),
    "error function": (PICTURE, "Erf", [], {}),
    "log softmax": (PICTURE, "LogSoftmax", [], {"axis": 1}),
    "sum of magnitudes": (PICTURE, "ReduceL1", [], {"axes": [1]}),
    "length": (PICTURE, "ReduceL2", [], {"axes": [2, 3], "keepdims": 0}),
    "sum of squares": (PICTURE, "ReduceSumSquare", [], {"axes": [1]}),
    "log of a sum of exponentials": (PICTURE, "ReduceLogSumExp", [], {"axes": [1], "keepdims": 0}),
    "product over columns": ((3, 5), "ReduceProd", [], {"axes": [1]}),
    "mean over five of seven dims": ((1, 2, 3, 2, 3, 2, 5), "ReduceMean", [], {"axes": [1, 2, 3, 4, 6], "keepdims": 0}),
    "largest over six of seven dims": ((2, 2, 3, 2, 3, 2, 5), "ReduceMax", [], {"axes": [0, 1, 2, 4, 5, 6]}),
    "mean over nothing": ((3, 1, 5), "ReduceMean", [], {"axes": [1], "keepdims": 0}),
    "running sum": (PICTURE, "CumSum", [np.array(1)], {"reverse": 1}),
    "neighbouring channels": (PICTURE, "LRN", [], {"size": 3, "alpha": 0.5}),
    "triangle": ((2, 5, 5), "Trilu", [np.array(1)], {"upper": 0}),
    "pixel shuffle": (PICTURE, "DepthToSpace", [], {"blocksize": 2, "mode": "CRD"}),
    "resize cubic": (PICTURE, "Resize", [None, f32(1, 1, 2, 1.5)], {"mode": "cubic"}),
    "resize cubic without the outside": (PICTURE, "Resize", [None, f32(1, 1, 2, 2)], {"mode": "cubic", "exclude_outside": 1}),
    "resize linear by a broken factor": (PICTURE, "Resize", [None, f32(1, 1, 1.45, 1.3)], {"mode": "linear"}),
    "resize nearest, floor of centres": (PICTURE, "Resize", [None, f32(1, 1, 2, 1.7)], {"nearest_mode": "floor"}),
    "resize of channels": (PICTURE, "Resize", [None, f32(1, 2, 1, 1)], {"mode": "linear"}),
    "resize of a line": ((1, 4, 9), "Resize", [None, f32(1, 1, 2)], {"mode": "linear"}),
    "pad with the border": (PICTURE, "Pad", [i64(0, 0, 2, 0, 0, 0, 1, 3)], {"mode": "edge"}),
    "pad that crops": (PICTURE, "Pad", [i64(0, 0, -2, 1, 0, 0, 3, -4)], {}),
    "transposed conv dilated": (PICTURE, "ConvTranspose", [normal(4, 5, 3, 2), normal(5)], {"dilations": [2, 3], "pads": [1, 1, 1, 1]}),
    "transposed conv with padding beyond": (PICTURE, "ConvTranspose", [normal(4, 5, 2, 1), normal(5)], {"strides": [2, 2], "output_padding": [1, 1]}),
    "resize nearest, floor of what single precision makes whole": (PICTURE, "Resize", [None, f32(1, 1, 1.5, 0.6)], {"nearest_mode": "floor"}),
    "hyperbolic sine": (PICTURE, "Sinh", [], {}),
    "hyperbolic cosine": (PICTURE, "Cosh", [], {}),
    "tangent": ((3, 7), "Tan", [], {}),
    "shrunk": (PICTURE, "Shrink", [], {"lambd": 0.4, "bias": 0.1}),
    "shrunk softly": (PICTURE, "Shrink", [], {"lambd": 0.2, "bias": 0.2}),
    "relu above a threshold": (PICTURE, "ThresholdedRelu", [], {"alpha": 0.3}),
    "mean of two": (PICTURE, "Mean", [normal(4, 1, 1)], {}),
    "vector by a matrix": ((5,), "MatMul", [normal(5, 3)], {}),
    "matrix by a vector": ((2, 4, 5), "MatMul", [normal(5)], {}),
    "gather of known elements": ((4, 5), "GatherElements", [np.array([[0, -1, 1]])], {"axis": 0}),
    "slice backwards along two axes and forwards along a third": (PICTURE, "Slice", [i64(-1, -2, 1), i64(-(2**63), -8, 3), i64(2, 3, 1), i64(-1, -3, 1)], {}),
    "cast to integers": ((3, 7), "Cast", [], {"to": 6}),
}  # fmt: skip
if tuple(int(part) for part in metadata.version("onnxruntime").split(".")[:2]) < (1, 24):
    del CASES["average pool rounding up, padding counted"]  # what it is compared with divides by other counts there
NO_INT8 = ("argmax", "cast")
"""What gives integers."""
COARSE = {
    "hyperbolic sine": 20.0,
    "hyperbolic cosine": 20.0,
    "tangent": 15.0,
    "shrunk": 20.0,
    "exponential": 20.0,
    "sign": 15.0,
    "length normalization": 15.0,
    "rounded down": 8.0,
    "to the power of 3": 20.0,
}


# nodes that end in an output, and constants: what needs more than one operator to be tried
POSITIVE = ("Exp", ["x"], ["p"], {})
CHAINS = {
    "reciprocal root": ([POSITIVE, ("Pow", ["p", "minus_half"], ["y"], {})], {"minus_half": scalar(-0.5)}),
    "logarithm of a root": ([POSITIVE, ("Sqrt", ["p"], ["r"], {}), ("Log", ["r"], ["y"], {})], {}),
    "choice": ([("Greater", ["x", "row"], ["c"], {}), ("Where", ["c", "x", "half"], ["y"], {})], {"row": normal(7), "half": scalar(0.5)}),
    "choice between constants": ([("Less", ["x", "half"], ["c"], {}), ("Where", ["c", "half", "row"], ["y"], {})], {"row": normal(7), "half": scalar(0.5)}),
    "truths": (
        [
            ("GreaterOrEqual", ["x", "half"], ["a"], {}),
            ("LessOrEqual", ["x", "row"], ["b"], {}),
            ("Equal", ["x", "x"], ["c"], {}),
            ("And", ["a", "b"], ["d"], {}),
            ("Not", ["d"], ["e"], {}),
            ("Or", ["e", "a"], ["f"], {}),
            ("Xor", ["f", "c"], ["g"], {}),
            ("Cast", ["g"], ["y"], {"to": 1}),
        ],
        {"row": normal(7), "half": scalar(0.5)},
    ),
    "remainder of integers": (
        [("Cast", ["x"], ["i"], {"to": 7}), ("Mod", ["i", "three"], ["m"], {}), ("Cast", ["m"], ["y"], {"to": 1})],
        {"three": np.array(3)},
    ),
    "the largest": ([("TopK", ["x", "k"], ["y", "i"], {"axis": -1})], {"k": i64(3)}),
    "the smallest": ([("TopK", ["x", "k"], ["y", "i"], {"axis": -1, "largest": 0})], {"k": i64(3)}),
    "sorted": ([("TopK", ["x", "k"], ["y", "i"], {"axis": 0, "largest": 0})], {"k": i64(3)}),
    "division of whole numbers": (
        [("Cast", ["x"], ["i"], {"to": 7}), ("Mul", ["i", "five"], ["f"], {}), ("Div", ["f", "minus_two"], ["d"], {}), ("Cast", ["d"], ["y"], {"to": 1})],
        {"five": np.array(5), "minus_two": np.array(-2)},
    ),
    "clip from below by what is computed": ([("ReduceMean", ["x"], ["m"], {"keepdims": 0}), ("Clip", ["x", "m"], ["y"], {})], {}),
    "the largest along another axis": ([("TopK", ["x", "k"], ["y", "i"], {"axis": 0})], {"k": i64(2)}),
    "looking up in a table": (
        [("Abs", ["x"], ["a"], {}), ("Cast", ["a"], ["i"], {"to": 7}), ("Gather", ["table", "i"], ["y"], {})],
        {"table": normal(9, 4)},
    ),
    "what was expanded": ([("Expand", ["x", "shape"], ["e"], {}), ("Mul", ["e", "other"], ["y"], {})], {"shape": i64(2, 3, 7), "other": normal(2, 3, 7)}),
    "gelu": (
        [
            ("Div", ["x", "root"], ["u"], {}),
            ("Erf", ["u"], ["e"], {}),
            ("Add", ["e", "one"], ["g"], {}),
            ("Mul", ["x", "g"], ["m"], {}),
            ("Mul", ["m", "half"], ["y"], {}),
        ],
        {"root": scalar(2**0.5), "one": scalar(1.0), "half": scalar(0.5)},
    ),
    "gelu, factors in another order": (
        [
            ("Mul", ["x", "half"], ["h"], {}),
            ("Mul", ["root", "x"], ["u"], {}),
            ("Erf", ["u"], ["e"], {}),
            ("Add", ["one", "e"], ["g"], {}),
            ("Mul", ["h", "g"], ["y"], {}),
        ],
        {"root": scalar(0.5**0.5), "one": scalar(1.0), "half": scalar(0.5)},
    ),
    "attention": (
        [
            ("MatMul", ["x", "wq"], ["q"], {}),
            ("Transpose", ["x"], ["k"], {"perm": [1, 0]}),
            ("MatMul", ["q", "k"], ["s"], {}),
            ("Softmax", ["s"], ["p"], {}),
            ("MatMul", ["p", "x"], ["y"], {}),
        ],
        {"wq": normal(7, 7)},
    ),
    "a product of stacks with a bias and a clamp": (
        [
            ("Reshape", ["x", "stack"], ["s"], {}),
            ("MatMul", ["s", "w"], ["m"], {}),
            ("Add", ["b", "m"], ["a"], {}),
            ("Relu", ["a"], ["y"], {}),
        ],
        {"stack": i64(1, 3, 7), "w": normal(7, 5), "b": normal(5)},
    ),
    "one hot": (
        [("ArgMax", ["x"], ["i"], {"axis": 1, "keepdims": 0}), ("OneHot", ["i", "depth", "values"], ["y"], {"axis": 0})],
        {"depth": np.array(9), "values": f32(0.5, 2.0)},
    ),
    "gather of elements": ([("ArgMax", ["x"], ["i"], {"axis": 1}), ("GatherElements", ["x", "i"], ["y"], {"axis": 1})], {}),
    "gather of elements of a constant": ([("ArgMax", ["x"], ["i"], {"axis": 1}), ("GatherElements", ["t", "i"], ["y"], {"axis": 1})], {"t": normal(3, 9)}),
    "gather of elements of a line": ([("ArgMax", ["x"], ["i"], {"axis": 0}), ("GatherElements", ["t", "i"], ["y"], {"axis": 1})], {"t": normal(1, 50)}),
    "scatter": ([("ScatterND", ["x", "places", "row"], ["y"], {})], {"places": np.array([[1], [0]]), "row": normal(2, 7)}),
    "scatter into columns side by side": (
        [("ScatterND", ["x", "places", "block"], ["y"], {})],
        {"places": np.stack(np.meshgrid(np.arange(3), np.arange(2, 6), indexing="ij"), -1), "block": normal(3, 4)},
    ),
    "scatter over everything": ([("ScatterND", ["x", "places", "all"], ["y"], {})], {"places": np.array([[0], [1], [2]]), "all": normal(3, 7)}),
    "scatter of elements": ([("ScatterElements", ["x", "places", "row"], ["y"], {"axis": 1})], {"places": np.array([[1, -1]]), "row": normal(1, 2)}),
    "not a number": ([("Log", ["x"], ["l"], {}), ("IsNaN", ["l"], ["n"], {}), ("Where", ["n", "zero", "l"], ["y"], {})], {"zero": scalar(0.0)}),
    "reciprocal": ([POSITIVE, ("Reciprocal", ["p"], ["y"], {})], {}),
    "a group normalization as exporters write it": (
        [
            ("Reshape", ["x", "picture"], ["p"], {}),
            ("Conv", ["p", "k"], ["c"], {}),
            ("Reshape", ["c", "groups"], ["g"], {}),
            ("InstanceNormalization", ["g", "ones", "zeros"], ["n"], {}),
            ("Reshape", ["n", "back"], ["y"], {}),
        ],
        {"picture": i64(1, 3, 7, 1), "k": normal(4, 3, 1, 1), "groups": i64(1, 2, -1), "ones": f32(1, 1), "zeros": f32(0, 0), "back": i64(1, 4, 7, 1)},
    ),
    "normalisation over all of five dims at once": (
        [
            ("Reshape", ["x", "windows"], ["w"], {}),
            ("Reshape", ["w", "one group"], ["g"], {}),
            ("InstanceNormalization", ["g", "one", "zero"], ["n"], {}),
            ("Reshape", ["n", "windows"], ["m"], {}),
            ("Mul", ["m", "scale"], ["y"], {}),
        ],
        {
            "windows": i64(1, 7, 1, 3, 1, 1), "one group": i64(1, 1, -1), "one": f32(1), "zero": f32(0),
            "scale": normal(1, 7, 1, 1, 1, 1),
        },
    ),
    "a concatenation": ([("Concat", ["x", "more", "x"], ["y"], {"axis": 0})], {"more": normal(1, 7)}),
}  # fmt: skip


def chain(bench, case):
    """The chain on a matrix of 3 rows and 7 columns."""
    nodes, constants = CHAINS[case]
    return bench.graph({"x": (3, 7)}, nodes, constants)


def build(bench, case, before=()):
    """The operator on the input, or behind the nodes of `before` (which end in the tensor 'h')."""
    shape, op, constants, attributes = CASES[case]
    attributes = dict(attributes)
    outputs = [f"y{i}" for i in range(attributes.pop("outputs", 1))]
    names = ["" if value is None else f"c{i}" for i, value in enumerate(constants)]
    nodes = [*before, (op, ["h" if before else "x", *names], outputs, attributes)]
    values = {name: value for name, value in zip(names, constants, strict=True) if name}
    if before:
        values["k"] = normal(shape[1], shape[1], 1, 1)
    return bench.graph({"x": shape}, nodes, values)


AFTER_CONV = (("Conv", ["x", "k"], ["h"], {}),)
AFTER_RELU = (("Conv", ["x", "k"], ["g"], {}), ("Relu", ["g"], ["h"], {}))
PICTURES = tuple(case for case, (shape, *_) in CASES.items() if len(shape) == 4)


@pytest.mark.parametrize("case", CASES)
def test_an_operator_on_a_graph_input_computes_what_onnx_says(bench, case):
    bench.check_float(build(bench, case))


@pytest.mark.parametrize("case", CHAINS)
def test_a_chain_of_operators_computes_what_onnx_says(bench, case):
    bench.check_float(chain(bench, case))


@pytest.mark.parametrize("case", PICTURES)
def test_an_operator_behind_a_convolution_computes_what_onnx_says(bench, case):
    bench.check_float(build(bench, case, AFTER_CONV))


@pytest.mark.parametrize("case", PICTURES)
def test_an_operator_prepared_for_the_edge_tpu_computes_what_onnx_says(bench, case):
    bench.check_float(build(bench, case, AFTER_RELU), edgetpu=True)


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith(NO_INT8)])
def test_an_operator_in_integers_stays_near_its_float_form(bench, case):
    assert bench.sqnr(build(bench, case)) >= COARSE.get(case, 28.0)


@pytest.mark.parametrize("case", [case for case in PICTURES if not case.startswith(NO_INT8)])
def test_an_operator_behind_a_convolution_in_integers_stays_near_its_float_form(bench, case):
    assert bench.sqnr(build(bench, case, AFTER_RELU), edgetpu=True) >= COARSE.get(case, 24.0)


def test_every_operator_of_the_table_that_opset_17_knows_is_tried_here():
    tried = {op for _, op, _, _ in CASES.values()}
    elsewhere = {op for nodes, _ in CHAINS.values() for op, *_ in nodes}
    twins = {"Ceil", "Round", "Sin", "Cos", "ArgMin"}
    recurrent = {"LSTM", "GRU", "RNN"}  # test_recurrent.py
    assert set(TABLE) <= tried | elsewhere | twins | recurrent | {"Gelu"}  # what the chains that end in a GELU become
