"""Where integers stand: every tensor of a quantized node, same-scale groups, the float tail, and each engine's own scheme."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.converters.graph import Graph
from edgekit.converters.importers.onnx.file import load
from edgekit.converters.optimise import optimise
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.parameters import QuantParams
from edgekit.converters.quantize.ranges.choose import same, spanned
from edgekit.converters.quantize.rules.roles import data_inputs
from edgekit.converters.quantize.rules.schemes import Style
from edgekit.converters.quantize.rules.tensorrt import shortcuts
from edgekit.runtimes.onnxruntime import execute

Build = Callable[..., Graph]


def seen(graph: Graph, scale: float = 1.0) -> Calibration:
    random = np.random.default_rng(5)
    feeds = [
        {spec.name: random.normal(scale=scale, size=spec.shape).astype(np.float32) for spec in graph.inputs} for _ in range(8)
    ]
    return calibrate(graph, feeds, execute)


def kernel(*shape: int, size: float = 0.3) -> np.ndarray:
    return (np.random.default_rng(sum(shape)).normal(size=shape) * size).astype(np.float32)


def conv(source: str, target: str, weight: str, **attributes: object) -> tuple[object, ...]:
    return ("Conv", [source, weight], [target], attributes)


def alike(graph: Graph, scheme: str, *names: str) -> bool:
    found = assign(graph, seen(graph), scheme=scheme).activations  # type: ignore[arg-type]
    return all(same(found[names[0]], found[name]) for name in names)


def test_every_tensor_of_every_quantized_node_has_parameters(build: Build) -> None:
    nodes = [conv("x", "c", "w"), ("Sigmoid", ["c"], ["s"], {}), ("Mul", ["c", "s"], ["m"], {}), ("Add", ["m", "k"], ["y"], {})]
    graph = build(
        nodes, inputs={"x": (1, 3, 6, 6)}, outputs=["y"], constants={"w": kernel(4, 3, 1, 1), "k": np.float32([[[[0.5]]]])}
    )
    found = assign(graph, seen(graph), scheme="tflite")
    assert not found.float_nodes
    for node in graph.nodes:
        for name in (*data_inputs(graph, node), *node.outputs):
            assert name in found.activations or name in found.weights
    assert found.weights["w"].axis == 0
    assert found.weights["k"].axis is None


def test_a_convolution_and_its_relu_share_the_clamped_range(build: Build) -> None:
    nodes = [conv("x", "c", "w"), ("Relu", ["c"], ["r"], {}), conv("r", "y", "v")]
    graph = build(
        nodes, inputs={"x": (1, 3, 6, 6)}, outputs=["y"], constants={"w": kernel(4, 3, 1, 1), "v": kernel(4, 4, 1, 1)}
    )
    assert alike(graph, "tflite", "c", "r")
    assert spanned(assign(graph, seen(graph), scheme="tflite").activations["c"]).low == 0.0


def test_a_relu_whose_input_is_read_elsewhere_does_not_clamp_it(build: Build) -> None:
    nodes = [conv("x", "c", "w"), ("Relu", ["c"], ["r"], {}), ("Add", ["c", "r"], ["y"], {})]
    graph = build(nodes, inputs={"x": (1, 3, 6, 6)}, outputs=["y"], constants={"w": kernel(4, 3, 1, 1)})
    assert spanned(assign(graph, seen(graph), scheme="tflite").activations["c"]).low < 0


MOVES = [
    ("MaxPool", [], {"kernel_shape": [2, 2]}),
    ("AveragePool", [], {"kernel_shape": [2, 2]}),
    ("Transpose", [], {"perm": [0, 2, 3, 1]}),
    ("Reshape", ["shape"], {}),
    ("Slice", ["starts", "ends"], {}),
    ("Pad", ["pads"], {}),
    ("Resize", ["", "scales"], {"mode": "nearest"}),
    ("Gather", ["index"], {"axis": 1}),
    ("Flatten", [], {}),
]
SHAPES = {
    "shape": np.array([1, -1]),
    "starts": np.array([0, 1]),
    "ends": np.array([1, 3]),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "scales": np.array([1, 1, 2, 2], np.float32),
    "index": np.array([2, 0]),
}


@pytest.mark.parametrize(("op", "extra", "attributes"), MOVES, ids=[move[0] for move in MOVES])
def test_operators_that_move_integers_share_one_scale(
    build: Build, op: str, extra: list[str], attributes: dict[str, object]
) -> None:
    constants = {"w": kernel(4, 3, 1, 1), **{name: SHAPES[name] for name in extra if name}}
    graph = build(
        [conv("x", "c", "w"), (op, ["c", *extra], ["y"], attributes)],
        inputs={"x": (1, 3, 6, 6)},
        outputs=["y"],
        constants=constants,
    )
    assert alike(graph, "tflite", "c", "y")


def test_split_shares_one_scale_over_all_its_outputs(build: Build) -> None:
    nodes = [conv("x", "c", "w"), ("Split", ["c", "parts"], ["a", "b"], {"axis": 1})]
    graph = build(
        nodes, inputs={"x": (1, 3, 6, 6)}, outputs=["a", "b"], constants={"w": kernel(4, 3, 1, 1), "parts": np.array([1, 3])}
    )
    assert alike(graph, "tflite", "c", "a", "b")


def joined(build: Build, size: float) -> Graph:
    nodes = [conv("x", "a", "w"), conv("x", "b", "v"), ("Concat", ["a", "b"], ["j"], {"axis": 1}), conv("j", "y", "u")]
    weights = {"w": kernel(4, 3, 1, 1), "v": kernel(4, 3, 1, 1, size=0.3 * size), "u": kernel(4, 8, 1, 1)}
    return build(nodes, inputs={"x": (1, 3, 6, 6)}, outputs=["y"], constants=weights)


def test_a_concat_of_like_ranges_shares_one_scale(build: Build) -> None:
    assert alike(joined(build, 2.0), "tflite", "a", "b", "j")


def test_a_concat_leaves_a_much_narrower_input_its_own_scale(build: Build) -> None:
    graph = joined(build, 20.0)
    assert alike(graph, "tflite", "b", "j")
    found = assign(graph, seen(graph), scheme="tflite").activations
    assert found["a"].scale[0] < found["j"].scale[0] / 4


def test_bounded_outputs_keep_their_fixed_parameters_through_moves_and_like_concats(build: Build) -> None:
    nodes = [
        conv("x", "c", "w"),
        ("Sigmoid", ["c"], ["a"], {}),
        ("Sigmoid", ["x"], ["b"], {}),
        ("Concat", ["a", "b"], ["j"], {"axis": 1}),
        ("Transpose", ["j"], ["y"], {"perm": [0, 2, 3, 1]}),
    ]
    graph = build(nodes, inputs={"x": (1, 3, 6, 6)}, outputs=["y"], constants={"w": kernel(4, 3, 1, 1)})
    found = assign(graph, seen(graph), scheme="tflite").activations
    for name in ("a", "b", "j", "y"):
        assert (float(found[name].scale[0]), int(found[name].zero_point[0])) == (1 / 256, -128)


@pytest.mark.parametrize(
    ("op", "size", "kept"),
    [("Tanh", 0.01, {"t"}), ("Tanh", 1.0, set()), ("Sigmoid", 0.01, set()), ("Softmax", 0.01, {"t"})],
    ids=["tanh near zero", "tanh", "sigmoid near a half", "softmax over many"],
)
def test_a_bounded_answer_that_is_small_on_its_fixed_grid_stays_float(
    build: Build, op: str, size: float, kept: set[str]
) -> None:
    nodes = [conv("x", "c", "w"), (op, ["c"], ["t"], {"axis": 1} if op == "Softmax" else {}), conv("t", "y", "v")]
    constants = {"w": kernel(16, 3, 1, 1, size=size), "v": kernel(4, 16, 1, 1)}
    graph = build(nodes, inputs={"x": (1, 3, 6, 6)}, outputs=["y"], constants=constants)
    faint = {node.name for node in graph.nodes if node.output in kept}
    assert assign(graph, seen(graph), scheme="tflite").float_nodes == faint
    if op != "Softmax":  # which the Edge TPU has of one row only
        assert not assign(graph, seen(graph), scheme="edgetpu").float_nodes


def test_inputs_and_outputs_are_never_clipped(build: Build) -> None:
    graph = build([conv("x", "y", "w")], inputs={"x": (1, 3, 6, 6)}, outputs=["y"], constants={"w": kernel(4, 3, 1, 1)})
    calibration = seen(graph)
    found = assign(graph, calibration, scheme="tflite").activations
    for name in ("x", "y"):
        reach, step = spanned(found[name]), float(found[name].scale[0])
        assert reach.low <= calibration.histograms[name].minimum + step
        assert reach.high >= calibration.histograms[name].maximum - step


def test_an_operator_without_an_integer_kernel_stays_float_and_its_neighbours_do_not(build: Build) -> None:
    nodes = [conv("x", "c", "w"), ("Erf", ["c"], ["e"], {}), conv("e", "y", "v")]
    graph = build(
        nodes, inputs={"x": (1, 3, 6, 6)}, outputs=["y"], constants={"w": kernel(4, 3, 1, 1), "v": kernel(4, 4, 1, 1)}
    )
    found = assign(graph, seen(graph), scheme="tflite")
    assert found.float_nodes == {"e_node"}
    assert {"c", "e"} <= set(found.activations)


def test_fully_connected_weights_are_per_channel_but_for_the_edge_tpu(build: Build) -> None:
    graph = build([("Gemm", ["x", "w"], ["y"], {})], inputs={"x": (1, 8)}, outputs=["y"], constants={"w": kernel(8, 5)})
    assert assign(graph, seen(graph), scheme="tflite").weights["w"].axis == 1
    assert assign(graph, seen(graph), scheme="edgetpu").weights["w"].axis is None


def test_a_plain_style_has_one_scale_per_weight_and_cuts_nothing_off(build: Build) -> None:
    nodes = [conv("x", "a", "w"), ("Relu", ["a"], ["y"], {}), conv("y", "z", "v")]
    constants = {"w": kernel(8, 3, 1, 1), "v": kernel(8, 8, 1, 1)}
    graph = build(nodes, inputs={"x": (1, 3, 6, 6)}, outputs=["z"], constants=constants)
    calibration = seen(graph)
    plain = assign(graph, calibration, scheme="tflite", style=Style(per_channel=False, clip=False))
    assert {len(params.scale) for name, params in plain.weights.items()} == {1}
    histogram = calibration.histogram("y")
    assert float(plain.activations["y"].scale[0]) == pytest.approx(
        (histogram.maximum - min(histogram.minimum, 0)) / 255, rel=1e-6
    )


def test_searched_tensors_get_the_same_range_alone_and_the_others_all_that_was_seen(build: Build) -> None:
    nodes = [conv("x", "c", "w"), ("Sigmoid", ["c"], ["g"], {}), ("Mul", ["c", "g"], ["m"], {}), conv("m", "y", "v")]
    constants = {"w": kernel(4, 3, 1, 1), "v": kernel(4, 4, 1, 1)}
    graph = build(nodes, inputs={"x": (1, 3, 16, 16)}, outputs=["y"], constants=constants)
    calibration = seen(graph)
    whole = assign(graph, calibration, scheme="tflite").activations
    plain = assign(graph, calibration, scheme="tflite", style=Style(clip=False)).activations
    some = assign(graph, calibration, scheme="tflite", searched={"c"}).activations
    assert not same(whole["c"], plain["c"])
    assert same(some["c"], whole["c"])
    assert all(same(some[name], plain[name]) for name in some if name != "c")


def test_unsigned_on_x86_signed_on_arm(build: Build) -> None:
    graph = build([conv("x", "y", "w")], inputs={"x": (1, 3, 6, 6)}, outputs=["y"], constants={"w": kernel(4, 3, 1, 1)})
    calibration = seen(graph)
    assert assign(graph, calibration, scheme="ort-x86").activations["x"].dtype == "uint8"
    assert assign(graph, calibration, scheme="ort-arm").activations["x"].dtype == "int8"


def wide(build: Build, nodes: list[tuple[object, ...]], **more: np.ndarray) -> Graph:
    constants = {"w": kernel(16, 16, 3, 3, size=0.1), "v": kernel(16, 16, 3, 3, size=0.1), **more}
    return build(nodes, inputs={"x": (1, 16, 8, 8)}, outputs=["y"], constants=constants)


PADS = {"pads": [1, 1, 1, 1]}


def test_tensorrt_quantizes_symmetrically_and_only_what_heavy_nodes_read(build: Build) -> None:
    graph = wide(build, [conv("x", "c", "w", **PADS), ("Relu", ["c"], ["r"], {}), conv("r", "y", "v", **PADS)])
    found = assign(graph, seen(graph), scheme="tensorrt")
    assert set(found.activations) == {"x", "r"}
    params: list[QuantParams] = [*found.activations.values(), *found.weights.values()]
    assert all(not each.zero_point.any() and each.dtype == "int8" for each in params)


def test_tensorrt_quantizes_the_shortcut_of_a_residual_and_not_the_branch_that_fuses(build: Build) -> None:
    graph = wide(
        build,
        [conv("x", "a", "w", **PADS), ("Relu", ["a"], ["r"], {}), conv("r", "b", "v", **PADS), ("Add", ["x", "b"], ["y"], {})],
    )
    found = assign(graph, seen(graph), scheme="tensorrt")
    assert shortcuts(graph, found.float_nodes) == {"y_node": "x"}
    assert "b" not in found.activations


def test_of_two_convolutions_the_deeper_fuses_with_the_add(build: Build) -> None:
    nodes = [
        conv("x", "a", "w", **PADS),
        ("Relu", ["a"], ["r"], {}),
        conv("r", "b", "v", **PADS),
        conv("x", "d", "u"),
        ("Add", ["d", "b"], ["y"], {}),
    ]
    graph = wide(build, nodes, u=kernel(16, 16, 1, 1))
    assert shortcuts(graph, frozenset()) == {"y_node": "d"}
    assert "d" in assign(graph, seen(graph), scheme="tensorrt").activations


@pytest.mark.parametrize(
    ("shape", "group", "kept"),
    [
        ((16, 16, 3, 3), 1, True),
        ((8, 3, 3, 3), 1, True),
        ((5, 3, 3, 3), 1, False),
        ((8, 3, 1, 3), 1, False),
        ((16, 1, 3, 3), 16, True),
        ((16, 1, 1, 1), 16, False),
        ((12, 1, 3, 3), 12, False),
    ],
)
def test_tensorrt_leaves_small_and_odd_convolutions_in_half_precision(
    build: Build, shape: tuple[int, ...], group: int, kept: bool
) -> None:
    channels = shape[1] * group
    graph = build(
        [conv("x", "y", "w", group=group)], inputs={"x": (1, channels, 8, 8)}, outputs=["y"], constants={"w": kernel(*shape)}
    )
    assert ("w" in assign(graph, seen(graph), scheme="tensorrt").weights) == kept


def clean(shared_data: Path, name: str) -> Graph:
    return optimise(load(shared_data / "models_onnx" / name).graph)


@pytest.mark.parametrize(
    ("name", "ops"),
    [
        ("yunet_n_640_640.onnx", {"Sigmoid"}),  # noise shows it no face: its scores stay near zero
        ("fastestdet.onnx", {"Sigmoid", "Softmax", "Transpose", "Concat"}),
        ("yolox_nano.onnx", {"Sigmoid", "Concat", "Reshape", "Transpose"}),
        ("ultraface_version-RFB-320.onnx", {"Concat", "Slice", "Mul", "Add", "Exp", "Div", "Sub"}),
    ],
)
def test_the_float_tail_of_real_detectors_is_their_decoder_and_no_more(shared_data: Path, name: str, ops: set[str]) -> None:
    graph = clean(shared_data, name)
    found = assign(graph, seen(graph, scale=0.5 if "yolox" not in name else 60.0), scheme="tflite")
    assert {node.op for node in graph.nodes if node.name in found.float_nodes} == ops
