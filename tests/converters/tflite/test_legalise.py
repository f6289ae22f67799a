"""Passes that bring a graph to TFLite's operators: what they make of it, and that it still computes the same."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.converters.lower.tflite import legalise, lower
from edgekit.core.errors import Unsupported

RNG = np.random.default_rng(5)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def ops(graph):
    return [node.op for node in graph.nodes]


def legal(bench, graph, edgetpu=False):
    bench.check_float(graph, edgetpu=edgetpu)
    return legalise(graph, edgetpu=edgetpu).graph


def focus(bench, order=((0, 0), (1, 0), (0, 1), (1, 1)), pads=(1, 1, 1, 1)):
    """YOLOX's and YOLOv5's stem: every second pixel into channels, then a convolution."""
    nodes, constants, ends = [], {"k": normal(5, 12, 3, 3), "b": normal(5), "all": np.array([2**62, 2**62])}, []
    for index, start in enumerate(order):
        constants |= {f"s{index}": np.array(start), "axes": np.array([2, 3]), "steps": np.array([2, 2])}
        nodes.append(("Slice", ["x", f"s{index}", "all", "axes", "steps"], [f"p{index}"], {}))
        ends.append(f"p{index}")
    nodes += [("Concat", ends, ["c"], {"axis": 1}), ("Conv", ["c", "k", "b"], ["y"], {"pads": pads})]
    return bench.graph({"x": (1, 3, 12, 16)}, nodes, constants)


ANY_ORDER = ((1, 1), (0, 0), (0, 1), (1, 0))


@pytest.mark.parametrize("order", [((0, 0), (1, 0), (0, 1), (1, 1)), ANY_ORDER])
def test_a_focus_stem_becomes_one_convolution_of_stride_2_on_the_edge_tpu(bench, order):
    graph = legal(bench, focus(bench, order), edgetpu=True)
    assert ops(graph) == ["Conv"]
    assert graph.shape(graph.nodes[0].inputs[1]) == (5, 3, 6, 6)
    assert graph.nodes[0].attributes["strides"] == (2, 2)


@pytest.mark.parametrize("order", [((0, 0), (1, 0), (0, 1), (1, 1)), ANY_ORDER])
def test_a_focus_stem_becomes_one_space_to_depth_on_a_cpu(bench, order):
    assert ops(legal(bench, focus(bench, order))) == ["SpaceToDepth", "Conv"]


def test_a_space_to_depth_stem_becomes_one_convolution_on_the_edge_tpu(bench):
    nodes = [("SpaceToDepth", ["x"], ["c"], {"blocksize": 4}), ("Conv", ["c", "k"], ["y"], {})]
    graph = bench.graph({"x": (2, 3, 8, 12)}, nodes, {"k": normal(5, 48, 1, 1)})
    assert ops(legal(bench, graph, edgetpu=True)) == ["Conv"]
    assert ops(legal(bench, graph)) == ["SpaceToDepth", "Conv"]


def shuffle(bench, *after, channels=6, groups=2, **constants):
    shape = (1, channels, 4, 5)
    nodes = [
        ("Relu", ["x"], ["h"], {}),
        ("Reshape", ["h", "split"], ["r"], {}),
        ("Transpose", ["r"], ["t"], {"perm": [0, 2, 1, 3, 4]}),
        ("Reshape", ["t", "whole"], ["z"], {}),
        *after,
    ]
    split = np.array([1, groups, channels // groups, 4, 5])
    return bench.graph({"x": shape}, nodes, {"split": split, "whole": np.array(shape), **constants})


def test_a_channel_shuffle_becomes_an_exact_convolution_with_ones_and_zeros(bench):
    graph = legal(bench, shuffle(bench, ("Tanh", ["z"], ["y"], {})))
    assert ops(graph) == ["Relu", "Conv", "Tanh"]
    assert set(np.unique(graph.constants[graph.nodes[1].inputs[1]])) == {0.0, 1.0}


def test_a_channel_shuffle_before_a_pointwise_convolution_disappears_into_it(bench):
    graph = shuffle(bench, ("Conv", ["z", "k"], ["y"], {}), k=normal(6, 6, 1, 1))
    assert ops(legal(bench, graph)) == ["Relu", "Conv"]


def test_shuffling_twice_back_to_the_start_is_nothing(bench):
    again = [
        ("Reshape", ["z", "back"], ["r2"], {}),
        ("Transpose", ["r2"], ["t2"], {"perm": [0, 2, 1, 3, 4]}),
        ("Reshape", ["t2", "whole"], ["z2"], {}),
        ("Tanh", ["z2"], ["y"], {}),
    ]
    assert ops(legal(bench, shuffle(bench, *again, back=np.array([1, 3, 2, 4, 5])))) == ["Relu", "Identity", "Tanh"]


def test_the_halves_of_a_shuffle_read_the_tensor_before_it(bench):
    constants = {"zero": np.array(0), "one": np.array(1), "stack": np.array([2, 1, 3, 4, 5])}
    nodes = [
        ("Relu", ["x"], ["h"], {}),
        ("Reshape", ["h", "pairs"], ["r"], {}),
        ("Transpose", ["r"], ["t"], {"perm": [1, 0, 2]}),
        ("Reshape", ["t", "stack"], ["z"], {}),
        ("Gather", ["z", "zero"], ["a"], {}),
        ("Gather", ["z", "one"], ["b"], {}),
        ("Sigmoid", ["a"], ["y"], {}),
        ("Tanh", ["b"], ["w"], {}),
    ]
    graph = bench.graph({"x": (1, 6, 4, 5)}, nodes, {"pairs": np.array([3, 2, 20]), **constants})
    assert ops(legal(bench, graph)) == ["Relu", "Conv", "Conv", "Sigmoid", "Tanh"]


def test_neighbouring_channels_picked_by_a_gather_are_a_slice(bench):
    nodes = [("Gather", ["x", "i"], ["g"], {"axis": 1}), ("Tanh", ["g"], ["y"], {})]
    assert ops(legal(bench, bench.graph({"x": (1, 6, 4, 5)}, nodes, {"i": np.array([2, 3, 4])}))) == ["Slice", "Tanh"]


def test_a_movement_that_mixes_space_and_channels_is_left_alone(bench):
    nodes = [("Reshape", ["x", "s"], ["r"], {}), ("Tanh", ["r"], ["y"], {})]
    assert ops(legal(bench, bench.graph({"x": (1, 4, 4, 4)}, nodes, {"s": np.array([1, 16, 2, 2])}))) == ["Reshape", "Tanh"]


def test_the_edge_tpu_gets_one_convolution_per_group(bench):
    graph = bench.graph(
        {"x": (1, 4, 5, 5)}, [("Conv", ["x", "k", "b"], ["y"], {"group": 2})], {"k": normal(6, 2, 3, 3), "b": normal(6)}
    )
    assert ops(legal(bench, graph, edgetpu=True)) == ["Slice", "Conv", "Slice", "Conv", "Concat"]
    assert ops(legal(bench, graph)) == ["Conv"]


def test_the_edge_tpu_gets_the_product_of_several_rows_as_a_convolution(bench):
    """Its fully connected layers take one row."""
    graph = bench.graph({"x": (1, 5, 8)}, [("MatMul", ["x", "w"], ["m"], {}), ("Relu", ["m"], ["y"], {})], {"w": normal(8, 3)})
    assert "Conv" in ops(legal(bench, graph, edgetpu=True)) and "Gemm" not in ops(legal(bench, graph, edgetpu=True))
    names = {operator.name for operator in bench.program(graph, edgetpu=True).operators}
    assert names <= {"RESHAPE", "CONV_2D"}
    bench.check_float(graph, edgetpu=True)
    row = bench.graph({"x": (1, 8)}, [("MatMul", ["x", "w"], ["y"], {})], {"w": normal(8, 3)})
    assert ops(legal(bench, row, edgetpu=True)) == ["Gemm"]


@pytest.mark.parametrize("op", ["HardSwish", "LeakyRelu"])
def test_the_edge_tpu_gets_activations_it_maps(bench, op):
    graph = bench.graph({"x": (1, 4, 5, 5)}, [(op, ["x"], ["y"], {})])
    assert ops(legal(bench, graph)) == [op]
    assert set(ops(legal(bench, graph, edgetpu=True))) <= {"Add", "Mul", "Clip", "Max"}


def test_operands_of_lower_rank_are_widened(bench):
    nodes = [("ReduceMean", ["x"], ["m"], {"axes": [0, 1, 2], "keepdims": 0}), ("Mul", ["x", "m"], ["y"], {})]
    assert ops(legal(bench, bench.graph({"x": (1, 4, 6, 5)}, nodes))) == ["ReduceMean", "Reshape", "Mul"]


def test_a_constant_row_added_to_a_product_is_its_bias(bench):
    nodes = [("MatMul", ["x", "w"], ["m"], {}), ("Add", ["m", "b"], ["y"], {})]
    assert ops(legal(bench, bench.graph({"x": (2, 5)}, nodes, {"w": normal(5, 3), "b": normal(3)}))) == ["Gemm"]


def test_a_graph_in_tflites_own_terms_is_returned_as_it_is(bench):
    graph = bench.graph(
        {"x": (1, 4, 5, 5)}, [("Conv", ["x", "k"], ["h"], {}), ("Relu", ["h"], ["y"], {})], {"k": normal(4, 4, 1, 1)}
    )
    result = legalise(graph, edgetpu=False)
    assert result.changes == 0 and result.graph is graph


@pytest.mark.parametrize("edgetpu", [False, True])
def test_legalising_twice_changes_nothing_more(bench, edgetpu):
    once = legalise(focus(bench, pads=(1, 1, 0, 2)), edgetpu=edgetpu).graph
    assert legalise(once, edgetpu=edgetpu).changes == 0


def masked(bench, *after):
    nodes = [("MatMul", ["x", "w"], ["s"], {}), ("Add", ["s", "mask"], ["m"], {}), *after]
    mask = np.triu(np.full((5, 5), -np.inf, np.float32), 1)
    return bench.graph({"x": (5, 5)}, nodes, {"w": normal(5, 5), "mask": mask})


def test_a_mask_of_infinities_before_a_softmax_is_finite(bench):
    graph = legal(bench, masked(bench, ("Softmax", ["m"], ["y"], {})))
    assert all(np.isfinite(value).all() for value in graph.constants.values())


def test_infinities_that_something_else_reads_stay(bench):
    graph = legalise(masked(bench, ("Softmax", ["m"], ["y"], {}), ("Relu", ["m"], ["z"], {})), edgetpu=False).graph
    assert any(np.isinf(value).any() for value in graph.constants.values())


def test_an_expansion_that_an_operator_does_by_itself_is_left_to_it(bench):
    nodes = [("Expand", ["x", "s"], ["e"], {}), ("Mul", ["e", "c"], ["y"], {})]
    graph = bench.graph({"x": (1, 5)}, nodes, {"s": np.array([3, 5]), "c": normal(3, 5)})
    assert ops(legal(bench, graph)) == ["Mul"]


def test_a_view_of_a_view_is_one_view(bench):
    nodes = [("Reshape", ["x", "a"], ["r"], {}), ("Unsqueeze", ["r", "zero"], ["u"], {}), ("Tanh", ["u"], ["y"], {})]
    graph = bench.graph({"x": (2, 6)}, nodes, {"a": np.array([3, 4]), "zero": np.array([0])})
    assert ops(legal(bench, graph)) == ["Reshape", "Tanh"]


def test_a_pixel_shuffle_turns_the_filters_before_it_and_moves_no_data(bench):
    nodes = [("Conv", ["x", "k"], ["h"], {}), ("DepthToSpace", ["h"], ["y"], {"blocksize": 2, "mode": "CRD"})]
    graph = legal(bench, bench.graph({"x": (1, 3, 4, 5)}, nodes, {"k": normal(12, 3, 1, 1)}))
    assert ops(graph) == ["Conv", "DepthToSpace"]


def test_every_second_row_is_a_slice_and_no_convolution(bench):
    nodes = [("Slice", ["x", "a", "b", "c", "d"], ["s"], {}), ("Tanh", ["s"], ["y"], {})]
    bounds = {"a": np.array([1]), "b": np.array([8]), "c": np.array([1]), "d": np.array([2])}
    assert ops(legal(bench, bench.graph({"x": (1, 8, 4, 5)}, nodes, bounds))) == ["Slice", "Tanh"]


def test_a_list_of_neighbours_and_a_single_place_are_slices(bench):
    nodes = [("Gather", ["x", "list"], ["g"], {"axis": 1}), ("Gather", ["g", "one"], ["y"], {"axis": 2})]
    graph = bench.graph({"x": (2, 6, 4)}, nodes, {"list": np.array([2, 3, 4]), "one": np.array(-1)})
    assert ops(legal(bench, graph)) == ["Slice", "Slice", "Reshape"]


def refusal(graph):
    with pytest.raises(Unsupported) as caught:
        lower(legalise(graph, edgetpu=False).graph, precision="fp32", quantization=None, edgetpu=False)
    return str(caught.value)


def test_a_batch_normalization_written_for_training_is_refused_with_the_way_out(bench):
    constants = {name: np.ones(4, np.float32) for name in ("scale", "bias", "mean", "variance")}
    node = ("BatchNormalization", ["x", *constants], ["y", "m", "v"], {"training_mode": 1})
    assert "written for training; export the model in evaluation mode" in refusal(
        bench.graph({"x": (1, 4, 3, 5)}, [node], constants)
    )


def test_an_average_over_a_dilated_window_is_refused(bench):
    pool = ("AveragePool", ["x"], ["y"], {"kernel_shape": [3, 3], "dilations": [2, 2]})
    assert "dilated pool" in refusal(bench.graph({"x": (1, 4, 9, 9)}, [pool], opset=19))


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_a_resize_that_keeps_the_aspect_has_one_factor(bench, policy, mode):
    attributes = {"mode": mode, "keep_aspect_ratio_policy": policy, "axes": [2, 3]}
    resize = ("Resize", ["x", "", "", "sizes"], ["y"], attributes)
    bench.check_float(bench.graph({"x": (1, 2, 9, 7)}, [resize], {"sizes": np.array([12, 12])}, opset=18))


def test_a_group_normalization_over_patches_keeps_to_the_axes_that_engines_take(bench):
    """MobileViT v2: pictures are told apart into patches of pixels, and normalised as a whole."""
    constants = {"patches": np.array([1, 6, 4, 2, 3, 2]), "groups": np.array([1, 1, -1]), "back": np.array([1, 6, 8, 6])}
    constants |= {"ones": np.ones(1, np.float32), "zeros": np.zeros(1, np.float32), "k": normal(6, 3, 1, 1)}
    nodes = [
        ("Conv", ["x", "k"], ["c"], {}),
        ("Reshape", ["c", "patches"], ["p"], {}),
        ("Transpose", ["p"], ["t"], {"perm": [0, 1, 2, 4, 3, 5]}),
        ("Reshape", ["t", "groups"], ["g"], {}),
        ("InstanceNormalization", ["g", "ones", "zeros"], ["n"], {}),
        ("Reshape", ["n", "back"], ["y"], {}),
    ]
    graph = bench.graph({"x": (1, 3, 8, 6)}, nodes, constants)
    bench.check_float(graph)
    assert max(len(tensor.shape) for operator in bench.program(graph).operators for tensor in operator.outputs) <= 6
