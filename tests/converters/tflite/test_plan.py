"""Data move only where they must: how many TRANSPOSE, RESHAPE, QUANTIZE and PAD operators small graphs need."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.converters.lower.tflite import legalise, lower

RNG = np.random.default_rng(3)
CONV = ("Conv", ["x", "k"], ["h"], {})


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def net(bench, *nodes, shape=(1, 4, 6, 8), **constants):
    return bench.graph({"x": shape}, [CONV, *nodes], {"k": normal(shape[1], shape[1], 1, 1), **constants})


def counts(program):
    return {name: program.count(name) for name in dict.fromkeys(operator.name for operator in program.operators)}


def test_a_transpose_is_only_another_name_for_the_axes(bench):
    graph = net(bench, ("Transpose", ["h"], ["t"], {"perm": [0, 2, 3, 1]}), ("Sigmoid", ["t"], ["y"], {}))
    assert counts(bench.program(graph)) == {"CONV_2D": 1, "LOGISTIC": 1}
    bench.check_float(graph)


def test_a_detection_head_needs_one_reshape(bench):
    nodes = (
        ("Transpose", ["h"], ["t"], {"perm": [0, 2, 3, 1]}),
        ("Reshape", ["t", "shape"], ["r"], {}),
        ("Sigmoid", ["r"], ["y"], {}),
    )
    graph = bench.graph({"x": (1, 4, 6, 8)}, [CONV, *nodes], {"k": normal(4, 4, 1, 1), "shape": np.array([1, -1, 2])})
    assert counts(bench.program(graph)) == {"CONV_2D": 1, "RESHAPE": 1, "LOGISTIC": 1}
    bench.check_float(graph)


def test_chained_reshapes_are_one(bench):
    constants = {"a": np.array([1, 4, 48]), "b": np.array([1, 2, 2, 48])}
    graph = net(
        bench, ("Reshape", ["h", "a"], ["r"], {}), ("Reshape", ["r", "b"], ["s"], {}), ("Relu", ["s"], ["y"], {}), **constants
    )
    assert counts(bench.program(graph)) == {"CONV_2D": 1, "RESHAPE": 1, "RELU": 1}
    bench.check_float(graph)


def test_a_reshape_there_and_back_is_nothing(bench):
    constants = {"a": np.array([1, 4, 48]), "b": np.array([1, 4, 6, 8])}
    graph = net(
        bench, ("Reshape", ["h", "a"], ["r"], {}), ("Reshape", ["r", "b"], ["s"], {}), ("Relu", ["s"], ["y"], {}), **constants
    )
    assert counts(bench.program(graph)) == {"CONV_2D": 1, "RELU": 1}


def test_flattening_before_a_dense_layer_moves_its_weights_not_the_data(bench):
    nodes = (("Flatten", ["h"], ["f"], {}), ("Gemm", ["f", "w", "b"], ["y"], {"transB": 1}))
    graph = net(bench, *nodes, w=normal(3, 192), b=normal(3))
    assert counts(bench.program(graph)) == {"CONV_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1}
    bench.check_float(graph)


def test_a_picture_that_the_model_flattens_channels_last_is_not_moved_at_all(bench):
    nodes = (
        ("Transpose", ["h"], ["t"], {"perm": [0, 2, 3, 1]}),
        ("Flatten", ["t"], ["f"], {}),
        ("Gemm", ["f", "w", "b"], ["y"], {"transB": 1}),
    )
    graph = net(bench, *nodes, w=normal(3, 192), b=normal(3))
    assert counts(bench.program(graph)) == {"CONV_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1}
    bench.check_float(graph)


def test_a_picture_that_no_convolution_reads_stays_as_it_is(bench):
    graph = bench.graph({"x": (1, 4, 6, 8)}, [("Reshape", ["x", "s"], ["y"], {})], {"s": np.array([24, 8])})
    assert counts(bench.program(graph)) == {"RESHAPE": 1}
    lowered = lower(legalise(graph, edgetpu=False).graph, precision="fp32", quantization=None, edgetpu=False)
    assert lowered.inputs[0].permutation is None


def test_a_picture_that_a_convolution_reads_is_taken_channels_last(bench):
    lowered = lower(legalise(net(bench), edgetpu=False).graph, precision="fp32", quantization=None, edgetpu=False)
    assert lowered.inputs[0].permutation == lowered.outputs[0].permutation == (0, 2, 3, 1)
    assert lowered.inputs[0].engine.shape == (1, 6, 8, 4)


def test_a_sequence_stays_as_it_is_unless_that_costs_a_transpose(bench):
    scaled = bench.graph({"x": (1, 20, 16)}, [("Sigmoid", ["x"], ["y"], {})])
    convolved = bench.graph({"x": (1, 20, 16)}, [("Conv", ["x", "k"], ["y"], {})], {"k": normal(4, 20, 3)})
    found = [
        lower(legalise(graph, edgetpu=False).graph, precision="fp32", quantization=None, edgetpu=False)
        for graph in (scaled, convolved)
    ]
    assert [lowered.inputs[0].permutation for lowered in found] == [None, (0, 2, 1)]


def test_five_dims_that_are_cut_in_parts_are_moved_once_for_all(bench):
    """As in attention: queries, keys and values are cut from one tensor."""
    nodes = [
        ("Reshape", ["x", "heads"], ["h"], {}),
        ("Transpose", ["h"], ["t"], {"perm": [2, 0, 3, 1, 4]}),
        ("Split", ["t"], ["q", "k", "v"], {"axis": 0}),
        ("Transpose", ["k"], ["kt"], {"perm": [0, 1, 2, 4, 3]}),
        ("MatMul", ["q", "kt"], ["s"], {}),
        ("MatMul", ["s", "v"], ["y"], {}),
    ]
    graph = bench.graph({"x": (1, 5, 24)}, nodes, {"heads": np.array([1, 5, 3, 2, 4])})
    assert bench.program(graph).count("TRANSPOSE") == 1
    bench.check_float(graph)


def test_an_attention_between_convolutions_is_moved_in_and_out_once(bench):
    """As in YOLO11: queries, keys and values are channels of one picture, and the answer is added to another."""
    nodes = [
        ("Conv", ["x", "wqkv"], ["c"], {}),
        ("Reshape", ["c", "heads"], ["h"], {}),
        ("Split", ["h", "sizes"], ["q", "k", "v"], {"axis": 2}),
        ("Transpose", ["q"], ["qt"], {"perm": [0, 1, 3, 2]}),
        ("MatMul", ["qt", "k"], ["s"], {}),
        ("Mul", ["s", "scale"], ["m"], {}),
        ("Softmax", ["m"], ["p"], {"axis": -1}),
        ("Transpose", ["p"], ["pt"], {"perm": [0, 1, 3, 2]}),
        ("MatMul", ["v", "pt"], ["a"], {}),
        ("Reshape", ["a", "picture"], ["o"], {}),
        ("Conv", ["x", "wpe"], ["pe"], {}),
        ("Add", ["o", "pe"], ["sum"], {}),
        ("Conv", ["sum", "wo"], ["y"], {}),
    ]
    constants = {"wqkv": normal(32, 5, 1, 1), "wpe": normal(16, 5, 1, 1), "wo": normal(5, 16, 1, 1), "scale": normal(1)}
    shapes = {"heads": [1, 2, 16, 42], "sizes": [4, 4, 8], "picture": [1, 16, 6, 7]}
    graph = bench.graph({"x": (1, 5, 6, 7)}, nodes, constants | {name: np.array(shape) for name, shape in shapes.items()})
    assert bench.program(graph).count("TRANSPOSE") == 2
    bench.check_float(graph)


def test_the_distances_of_a_yolo_are_weighed_where_they_stand(bench):
    """Its decoder turns the bins to the channels of a convolution of one place, which does not mind how the others stand."""
    nodes = [
        ("Conv", ["x", "k"], ["c"], {}),
        ("Reshape", ["c", "flat"], ["f"], {}),
        ("Reshape", ["f", "bins"], ["b"], {}),
        ("Transpose", ["b"], ["t"], {"perm": [0, 2, 1, 3]}),
        ("Softmax", ["t"], ["p"], {"axis": 1}),
        ("Conv", ["p", "weights"], ["w"], {}),
        ("Reshape", ["w", "four"], ["d"], {}),
        ("Mul", ["d", "d"], ["y"], {}),
    ]
    constants = {"k": normal(32, 5, 1, 1), "weights": np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1)}
    shapes = {"flat": [1, 32, 42], "bins": [1, 4, 8, 42], "four": [1, 4, 42]}
    graph = bench.graph({"x": (1, 5, 6, 7)}, nodes, constants | {name: np.array(shape) for name, shape in shapes.items()})
    assert bench.program(graph).count("TRANSPOSE") == 0
    bench.check_float(graph)


def test_a_slice_that_is_assigned_to_stands_beside_what_stays(bench):
    """What the in-place decoder of a YOLOv5 head is exported as: a ScatterND of a whole block."""
    places = np.stack(np.meshgrid(0, np.arange(2), np.arange(4), np.arange(5), np.arange(1, 3), indexing="ij"), -1)
    nodes = [
        ("Conv", ["x", "k"], ["c"], {}),
        ("Reshape", ["c", "heads"], ["h"], {}),
        ("Transpose", ["h"], ["t"], {"perm": [0, 1, 3, 4, 2]}),
        ("Slice", ["t", "start", "end", "last"], ["s"], {}),
        ("Mul", ["s", "s"], ["m"], {}),
        ("ScatterND", ["t", "places", "m"], ["y"], {}),
    ]
    bounds = {"start": np.array([1]), "end": np.array([3]), "last": np.array([4]), "heads": np.array([1, 2, 6, 4, 5])}
    graph = bench.graph({"x": (1, 3, 4, 5)}, nodes, {"k": normal(12, 3, 1, 1), "places": places, **bounds})
    found = counts(bench.program(graph))
    assert found["CONCATENATION"] == 1 and "GATHER" not in found and found.get("TRANSPOSE", 0) <= 1
    bench.check_float(graph)


def test_columns_of_a_picture_that_become_a_sequence_are_moved_once(bench):
    """What reads text joins channels and rows, then turns the columns to the front."""
    nodes = [
        ("Conv", ["x", "k"], ["c"], {}),
        ("Reshape", ["c", "join"], ["j"], {}),
        ("Transpose", ["j"], ["s"], {"perm": [2, 0, 1]}),
        ("MatMul", ["s", "w"], ["y"], {}),
    ]
    constants = {"k": normal(4, 3, 1, 1), "join": np.array([1, 8, 9]), "w": normal(8, 5)}
    graph = bench.graph({"x": (1, 3, 2, 9)}, nodes, constants)
    assert bench.program(graph).count("TRANSPOSE") == 1
    bench.check_float(graph)


@pytest.mark.parametrize("wanted", ["one product", "integers"])
def test_heads_that_share_their_keys_and_values_are_never_moved(bench, wanted):
    """Multi-query attention of MobileNetV4: every row of every head meets the same matrix, so rows may stand in any order."""
    nodes = [
        ("Conv", ["x", "wq"], ["q"], {}),
        ("Conv", ["x", "wk"], ["k"], {"strides": [2, 2]}),
        ("Conv", ["x", "wv"], ["v"], {"strides": [2, 2]}),
        ("Reshape", ["q", "heads"], ["qh"], {}),
        ("Transpose", ["qh"], ["qt"], {"perm": [0, 1, 3, 2]}),
        ("Reshape", ["k", "one"], ["kh"], {}),
        ("Reshape", ["v", "one"], ["vh"], {}),
        ("Transpose", ["vh"], ["vt"], {"perm": [0, 1, 3, 2]}),
        ("MatMul", ["qt", "kh"], ["s"], {}),
        ("Softmax", ["s"], ["p"], {"axis": -1}),
        ("MatMul", ["p", "vt"], ["a"], {}),
        ("Transpose", ["a"], ["at"], {"perm": [0, 1, 3, 2]}),
        ("Reshape", ["at", "back"], ["o"], {}),
        ("Conv", ["o", "wo"], ["y"], {}),
    ]
    constants = {"wq": normal(12, 5, 1, 1), "wk": normal(4, 5, 1, 1), "wv": normal(4, 5, 1, 1), "wo": normal(5, 12, 1, 1)}
    shapes = {"heads": [1, 3, 4, -1], "one": [1, 1, 4, -1], "back": [1, 12, 6, 6]}
    graph = bench.graph({"x": (1, 5, 6, 6)}, nodes, constants | {name: np.array(shape) for name, shape in shapes.items()})
    assert bench.program(graph).count("TRANSPOSE") == 0
    if wanted == "integers":
        assert bench.sqnr(graph) > 20
    else:
        bench.check_float(graph)


def test_a_product_of_a_stack_is_one_fully_connected_layer_with_its_bias_and_clamp(bench):
    nodes = [("MatMul", ["x", "w"], ["m"], {}), ("Add", ["m", "b"], ["a"], {}), ("Relu", ["a"], ["y"], {})]
    graph = bench.graph({"x": (1, 5, 8)}, nodes, {"w": normal(8, 3), "b": normal(3)})
    assert counts(bench.program(graph)) == {"FULLY_CONNECTED": 1}
    bench.check_float(graph)


def test_a_transpose_that_is_needed_is_made_once_for_all_readers(bench):
    nodes = (
        ("Reshape", ["h", "s"], ["r"], {}),
        ("Relu", ["r"], ["y"], {}),
        ("Sigmoid", ["r"], ["z"], {}),
    )
    graph = net(bench, *nodes, s=np.array([16, 12]))
    assert bench.program(graph).count("TRANSPOSE") == 1
    bench.check_float(graph)


def test_the_same_constant_is_stored_once(bench):
    graph = bench.graph(
        {"x": (1, 4, 6, 8)},
        [("Conv", ["x", "k"], ["a"], {}), ("Conv", ["a", "k2"], ["y"], {})],
        {"k": np.ones((4, 4, 1, 1), np.float32), "k2": np.ones((4, 4, 1, 1), np.float32)},
    )
    program = bench.program(graph)
    assert len({tensor for operator in program.operators for tensor in operator.inputs if tensor.data is not None}) == 2


@pytest.mark.parametrize("clamp", [("Relu", []), ("Clip", ["zero", "six"]), ("Clip", ["minus", "one"])])
def test_an_activation_joins_the_operator_before_it(bench, clamp):
    op, bounds = clamp
    values = {"zero": 0.0, "six": 6.0, "minus": -1.0, "one": 1.0}
    constants = {name: np.array(values[name], np.float32) for name in bounds}
    graph = net(bench, (op, ["h", *bounds], ["y"], {}), **constants)
    assert counts(bench.program(graph)) == {"CONV_2D": 1}
    bench.check_float(graph)
    assert bench.sqnr(graph) > 30


def test_an_activation_behind_a_product_of_computed_matrices_stands_alone(bench):
    graph = bench.graph({"x": (2, 3, 3)}, [("MatMul", ["x", "x"], ["m"], {}), ("Relu", ["m"], ["y"], {})])
    assert counts(bench.program(graph)) == {"BATCH_MATMUL": 1, "RELU": 1}
    bench.check_float(graph)


def test_an_activation_does_not_join_when_someone_else_reads_the_sum(bench):
    graph = net(bench, ("Relu", ["h"], ["r"], {}), ("Add", ["r", "h"], ["y"], {}))
    assert counts(bench.program(graph)) == {"CONV_2D": 1, "RELU": 1, "ADD": 1}


def test_padding_of_a_strided_convolution_is_only_what_its_windows_touch(bench):
    graph = bench.graph(
        {"x": (1, 4, 8, 8)}, [("Conv", ["x", "k"], ["y"], {"strides": [2, 2], "pads": [1, 1, 1, 1]})], {"k": normal(4, 4, 3, 3)}
    )
    pad = bench.program(graph).operators[0]
    assert pad.name == "PAD" and pad.inputs[1].data.tolist() == [[0, 0], [1, 0], [1, 0], [0, 0]]


def test_zeros_pad_a_pool_that_follows_a_relu_and_the_lowest_value_any_other(bench):
    pool = ("MaxPool", ["r"], ["y"], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]})
    after_relu = net(bench, ("Relu", ["h"], ["r"], {}), pool, shape=(1, 4, 8, 8))
    assert counts(bench.program(after_relu)) == {"CONV_2D": 1, "PAD": 1, "MAX_POOL_2D": 1}
    after_tanh = net(bench, ("Tanh", ["h"], ["r"], {}), pool, shape=(1, 4, 8, 8))
    assert counts(bench.program(after_tanh)) == {"CONV_2D": 1, "TANH": 1, "PADV2": 1, "MAX_POOL_2D": 1}
