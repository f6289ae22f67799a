"""TensorRT artifacts: pairs where its kernels fuse, types per version, recipe and calibration cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import from_model, to_bytes
from edgekit.converters.lower.base import Lowered
from edgekit.converters.lower.sparse import is_two_of_four
from edgekit.converters.lower.tensorrt import lower, uses_ranges
from edgekit.converters.lower.tensorrt_build import build_recipe, cache_bytes, parse_version, read_cache, trtexec
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.converters.quantize.parameters import quantize
from edgekit.converters.quantize.rules.tensorrt import excluded
from edgekit.core.errors import ConversionError, Unsupported
from edgekit.runtimes.onnxruntime import execute

Build = Callable[..., Graph]
RANDOM = np.random.default_rng(4)
PADS = {"pads": [1, 1, 1, 1]}
PAIR = {"QuantizeLinear", "DequantizeLinear"}


def kernel(*shape: int) -> NDArray[np.float32]:
    return (RANDOM.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


@pytest.fixture
def graph(build: Build) -> Graph:
    """A residual block between two convolutions, resized, with a mean over the picture."""
    nodes = [
        ("Conv", ["x", "w1", "b"], ["c1"], PADS),
        ("Relu", ["c1"], ["r1"], {}),
        ("Conv", ["r1", "w2", "b"], ["c2"], PADS),
        ("Relu", ["c2"], ["r2"], {}),
        ("Conv", ["r2", "w3", "b"], ["c3"], PADS),
        ("Add", ["r1", "c3"], ["a"], {}),
        ("Resize", ["a", "", "scales"], ["s"], {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}),
        ("GlobalAveragePool", ["s"], ["g"], {}),
        ("Conv", ["g", "w4"], ["y"], {}),
        ("ReduceMean", ["s"], ["m"], {"axes": [2, 3], "keepdims": 0}),
    ]
    constants = {"w1": kernel(16, 3, 3, 3), "w2": kernel(16, 16, 3, 3), "w3": kernel(16, 16, 3, 3), "w4": kernel(32, 16, 1, 1)}
    scales = np.array([1, 1, 2, 2], np.float32)
    return build(
        nodes,
        inputs={"x": (1, 3, 16, 16)},
        outputs=["y", "m"],
        constants={**constants, "b": RANDOM.normal(size=16).astype(np.float32), "scales": scales},
    )


@pytest.fixture
def feeds() -> list[dict[str, NDArray[np.float32]]]:
    return [{"x": RANDOM.normal(size=(1, 3, 16, 16)).astype(np.float32)} for _ in range(16)]


@pytest.fixture
def made(graph: Graph, feeds: list[dict[str, NDArray[np.float32]]]) -> Callable[..., Lowered]:
    calibration = calibrate(graph, feeds, execute)
    quantization = assign(graph, calibration, scheme="tensorrt")

    def make(version: str, precision: str = "int8") -> Lowered:
        wanted = quantization if precision == "int8" else None
        return lower(graph, precision=precision, version=version, quantization=wanted, calibration=calibration)  # type: ignore[arg-type]

    return make


def model(lowered: Lowered) -> onnx.ModelProto:
    loaded = onnx.load_model_from_string(lowered.files["model.onnx"])
    onnx.checker.check_model(loaded, full_check=True)
    return loaded


def as_it_stands(data: bytes) -> Callable[[Mapping[str, Any]], dict[str, NDArray[Any]]]:
    """ONNX Runtime without its own Q/DQ transformations: they quantize float biases, which TensorRT does not."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return lambda feed: dict(zip(names, session.run(None, dict(feed)), strict=True))


def dressed(lowered: Lowered) -> Graph:
    return from_model(onnx.shape_inference.infer_shapes(model(lowered)))


def test_all_zero_points_are_zero_and_all_integers_signed(made: Callable[..., Lowered]) -> None:
    found = dressed(made("10.3"))
    points = [found.constants[node.inputs[2]] for node in found.nodes if node.op in PAIR]
    assert points
    assert all(point.dtype == np.int8 and not point.any() for point in points)


def test_weights_are_float_behind_a_per_channel_pair_and_biases_bare(made: Callable[..., Lowered]) -> None:
    found = dressed(made("10.3"))
    for node in (node for node in found.nodes if node.op == "Conv"):
        back = found.producers[node.inputs[1]]
        forth = found.producers[back.inputs[0]]
        assert (back.op, forth.op) == ("DequantizeLinear", "QuantizeLinear")
        assert back.attributes["axis"] == forth.attributes["axis"] == 0
        assert found.constants[forth.inputs[0]].dtype == np.float32
        assert all(name in found.constants for name in node.inputs[2:])


def test_pairs_stand_before_heavy_nodes_and_never_inside_what_fuses(made: Callable[..., Lowered]) -> None:
    found = dressed(made("10.3"))
    for node in (node for node in found.nodes if node.op == "QuantizeLinear" and node.inputs[0] not in found.constants):
        assert node.inputs[0] in {"x", "r1", "r2", "s", "g"}
        assert node.attributes.get("axis") is None
    add = next(node for node in found.nodes if node.op == "Add")
    behind = [found.producers[name].op for name in add.inputs]
    assert behind == ["DequantizeLinear", "Conv"]


@pytest.mark.parametrize(
    ("op", "shape", "attributes", "axis"),
    [
        ("Conv", (32, 16, 3, 3), {}, 0),
        ("Conv", (16, 1, 3, 3), {"group": 16}, 0),
        ("ConvTranspose", (16, 32, 2, 2), {}, 1),
        ("ConvTranspose", (16, 2, 2, 2), {"group": 16}, None),
        ("Gemm", (16, 32), {}, 1),
        ("Gemm", (32, 16), {"transB": 1}, 0),
        ("MatMul", (16, 32), {}, 1),
    ],
    ids=["conv", "depthwise", "transposed", "transposed in groups", "gemm", "gemm of a transpose", "matmul"],
)
@pytest.mark.parametrize("version", ["8.2", "11.4"])
def test_weights_have_a_scale_per_output_channel_on_the_operator_s_own_axis(
    build: Build, op: str, shape: tuple[int, ...], attributes: Mapping[str, Any], axis: int | None, version: str
) -> None:
    inputs = {"x": (1, 16, 8, 8) if "Conv" in op else (8, 16)}
    graph = build([(op, ["x", "w"], ["y"], attributes)], inputs=inputs, outputs=["y"], constants={"w": kernel(*shape)})
    data = [{"x": RANDOM.normal(size=inputs["x"]).astype(np.float32)} for _ in range(4)]
    calibration = calibrate(graph, data, execute)
    quantization = assign(graph, calibration, scheme="tensorrt")
    found = dressed(lower(graph, precision="int8", version=version, quantization=quantization, calibration=calibration))
    back = found.producers[next(node for node in found.nodes if node.op == op).inputs[1]]
    assert back.op == "DequantizeLinear"
    assert back.attributes.get("axis") == axis
    assert found.constants[back.inputs[1]].size == (1 if axis is None else shape[axis])


def test_a_tensor_read_twice_has_one_pair(made: Callable[..., Lowered]) -> None:
    found = dressed(made("10.3"))
    assert sum(node.op == "QuantizeLinear" for node in found.consumers["r1"]) == 1


@pytest.mark.parametrize(
    ("version", "opset"), [("8.0", 13), ("8.2", 13), ("8.5", 17), ("8.6.2", 17), ("10.3", 17), ("10.13", 19), ("11.4", 19)]
)
def test_the_operator_set_is_one_that_the_version_reads(made: Callable[..., Lowered], version: str, opset: int) -> None:
    assert model(made(version)).opset_import[0].version == opset


@pytest.mark.parametrize("version", ["8.2", "8.5", "10.3", "10.13"])
@pytest.mark.parametrize(("precision", "least_db"), [("int8", 22.0), ("fp16", 50.0), ("fp32", 100.0)])
def test_outputs_stay_near_the_source(
    graph: Graph,
    made: Callable[..., Lowered],
    feeds: list[dict[str, NDArray[np.float32]]],
    version: str,
    precision: str,
    least_db: float,
) -> None:
    reference, run = execute(to_bytes(graph)), as_it_stands(made(version, precision).files["model.onnx"])
    for name in ("y", "m"):
        truth = np.stack([reference(feed)[name] for feed in feeds]).astype(np.float64)
        noise = np.stack([run(feed)[name] for feed in feeds]) - truth
        assert 10 * np.log10(np.square(truth).sum() / max(np.square(noise).sum(), 1e-30)) > least_db


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_under_strong_typing_the_file_is_half_precision_between_a_float32_face(
    made: Callable[..., Lowered], precision: str
) -> None:
    found = model(made("10.13", precision))
    kinds = {tensor.data_type for tensor in found.graph.initializer if len(tensor.dims) == 4}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert {value.type.tensor_type.elem_type for value in (*found.graph.input, *found.graph.output)} == {onnx.TensorProto.FLOAT}
    assert [value.name for value in (*found.graph.input, *found.graph.output)] == ["x", "y", "m"]


def test_a_resize_keeps_its_float32_scales_in_half_precision(made: Callable[..., Lowered]) -> None:
    found = from_model(model(made("10.13", "fp16")))
    resize = next(node for node in found.nodes if node.op == "Resize")
    assert found.constants[resize.inputs[2]].dtype == np.float32


def test_fp32_stays_float32_even_under_strong_typing(made: Callable[..., Lowered]) -> None:
    assert all(tensor.data_type != onnx.TensorProto.FLOAT16 for tensor in model(made("10.13", "fp32")).graph.initializer)


def test_the_recipe_is_data_and_the_same_for_the_same_wish(made: Callable[..., Lowered]) -> None:
    lowered = made("10.3")
    recipe = json.loads(lowered.files["build.json"])
    assert lowered.roles["build.json"] == "recipe"
    assert recipe["typing"] == "weak"
    assert recipe["flags"] == ["FP16", "INT8"]
    assert lowered.files["build.json"] == made("10.3").files["build.json"]
    assert any("only the board" in note for note in lowered.notes)


@pytest.mark.parametrize(
    ("precision", "version", "types", "memory"),
    [
        ("int8", "8.2", ["--fp16", "--int8"], "--workspace=1024"),
        ("int8", "10.3", ["--fp16", "--int8"], "--memPoolSize=workspace:1024"),
        ("fp16", "10.3", ["--fp16"], "--memPoolSize=workspace:1024"),
        ("fp32", "10.3", [], "--memPoolSize=workspace:1024"),
        ("int8", "10.12", ["--stronglyTyped"], "--memPoolSize=workspace:1024"),
        ("int8", "11.4.1", ["--stronglyTyped"], "--memPoolSize=workspace:1024"),
    ],
)
def test_the_command_line_says_the_same_as_the_flags(precision: str, version: str, types: list[str], memory: str) -> None:
    recipe = build_recipe(precision, version)  # type: ignore[arg-type]
    command = trtexec(parse_version(version), recipe.typing, recipe.flags)
    assert recipe.trtexec == command
    assert list(command) == [
        "trtexec",
        "--onnx=model.onnx",
        "--saveEngine=model.engine",
        *types,
        memory,
        "--timingCacheFile=timing.cache",
    ]


@pytest.mark.parametrize("version", ["7.1", "", "ten", "10"])
def test_versions_that_do_not_read_pairs_are_refused(version: str) -> None:
    with pytest.raises(Unsupported, match=r"not 8\.0 or newer"):
        parse_version(version)


@pytest.mark.parametrize(("version", "header"), [("8.5.2", "TRT-8502"), ("8.2", "TRT-8200"), ("10.3", "TRT-100300")])
def test_the_calibration_cache_holds_the_symmetric_scale_of_every_activation(
    made: Callable[..., Lowered], version: str, header: str
) -> None:
    lowered = made(version)
    data = lowered.files["calibration.cache"]
    assert lowered.roles["calibration.cache"] == "calibration-cache"
    assert data.decode().splitlines()[0] == f"{header}-EntropyCalibration2"
    scales = read_cache(data)
    assert set(scales) == {"x", "c1", "r1", "c2", "r2", "c3", "a", "s", "g", "y", "m"}
    assert all(0 < scale < 1 for scale in scales.values())


def test_under_strong_typing_there_is_no_cache_for_nothing_would_read_it(made: Callable[..., Lowered]) -> None:
    assert "calibration.cache" not in made("10.13").files


def two_of_four(weight: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """The weight with the smaller half of every four input channels set to zero."""
    moved = np.moveaxis(weight, axis, -1).copy()
    grouped = moved.reshape(-1, 4)
    np.put_along_axis(grouped, np.argsort(np.abs(grouped), axis=1)[:, :2], 0.0, axis=1)
    return np.ascontiguousarray(np.moveaxis(grouped.reshape(moved.shape), -1, axis))


SPARSE: Mapping[str, tuple[str, tuple[int, ...], int, Mapping[str, Any]]] = {
    "conv": ("Conv", (16, 16, 3, 3), 1, PADS),
    "gemm": ("Gemm", (16, 32), 0, {}),
    "gemm of a transpose": ("Gemm", (32, 16), 1, {"transB": 1}),
    "matmul": ("MatMul", (16, 32), 0, {}),
}


@pytest.mark.parametrize("case", SPARSE)
@pytest.mark.parametrize("version", ["8.5", "10.13"])
def test_two_of_four_sparse_weights_stay_so_through_quantization_and_are_looked_for(
    build: Build, case: str, version: str
) -> None:
    op, shape, axis, attributes = SPARSE[case]
    weight = two_of_four(kernel(*shape), axis)
    inputs = {"x": (1, 16, 8, 8) if op == "Conv" else (8, 16)}
    graph = build([(op, ["x", "w"], ["y"], attributes)], inputs=inputs, outputs=["y"], constants={"w": weight})
    data = [{"x": RANDOM.normal(size=inputs["x"]).astype(np.float32)} for _ in range(4)]
    calibration = calibrate(graph, data, execute)
    quantization = assign(graph, calibration, scheme="tensorrt")
    assert is_two_of_four(quantize(weight, quantization.weights["w"]), axis)
    lowered = lower(graph, precision="int8", version=version, quantization=quantization, calibration=calibration)
    recipe = json.loads(lowered.files["build.json"])
    assert "SPARSE_WEIGHTS" in recipe["flags"]
    assert "--sparsity=enable" in recipe["trtexec"]
    assert any("1 of 1 heavy layers have two-of-four" in note for note in lowered.notes)


def test_dense_weights_ask_for_no_sparse_kernels(made: Callable[..., Lowered]) -> None:
    recipe = json.loads(made("10.3").files["build.json"])
    assert "SPARSE_WEIGHTS" not in recipe["flags"]
    assert "--sparsity=enable" not in recipe["trtexec"]


@pytest.mark.parametrize(
    ("weight", "sparse"),
    [
        (np.ones((4, 4, 1, 1), np.float32), False),
        (np.zeros((4, 6, 1, 1), np.float32), False),
        (np.zeros((4, 0, 1, 1), np.float32), False),
        (np.array([1, 0, 0, 1, 0, 0, 0, 1], np.float32).reshape(1, 8, 1, 1), True),
        (np.array([1, 0, 1, 1, 0, 0, 0, 0], np.float32).reshape(1, 8, 1, 1), False),
    ],
    ids=["dense", "no multiple of four", "empty", "two of four", "three in one group"],
)
def test_sparse_means_two_zeros_in_every_group_of_four(weight: NDArray[np.float32], sparse: bool) -> None:
    assert is_two_of_four(weight, 1) is sparse


def test_a_gate_that_averages_what_others_read_gets_no_pair_of_its_own(build: Build) -> None:
    nodes = [
        ("Conv", ["x", "w"], ["c"], PADS),
        ("Sigmoid", ["c"], ["s"], {}),
        ("GlobalAveragePool", ["s"], ["g"], {}),
        ("Mul", ["s", "g"], ["m"], {}),
        ("GlobalAveragePool", ["m"], ["y"], {}),
    ]
    graph = build(nodes, inputs={"x": (1, 16, 8, 8)}, outputs=["y"], constants={"w": kernel(16, 16, 3, 3)})
    data = [{"x": RANDOM.normal(size=(1, 16, 8, 8)).astype(np.float32)} for _ in range(4)]
    quantization = assign(graph, calibrate(graph, data, execute), scheme="tensorrt")
    assert set(quantization.activations) == {"x", "m"}


@pytest.mark.parametrize(("shape", "worth"), [((16, 4), True), ((16, 1), False)])
def test_one_vector_is_left_in_half_precision_on_either_side_of_the_matrix(
    build: Build, shape: tuple[int, int], worth: bool
) -> None:
    graph = build([("MatMul", ["w", "x"], ["y"], {})], inputs={"x": shape}, outputs=["y"], constants={"w": kernel(16, 16)})
    assert excluded(graph, graph.nodes[0]) is not worth


def test_a_tensor_whose_name_would_break_the_cache_is_left_out_of_it(build: Build) -> None:
    graph = build([("Relu", ["x"], ["two\nlines"], {})], inputs={"x": (1, 4)}, outputs=["two\nlines"])
    calibration = calibrate(graph, [{"x": np.arange(4, dtype=np.float32).reshape(1, 4)}], execute)
    assert set(read_cache(cache_bytes(calibration, "8.5"))) == {"x"}


def test_layers_left_in_half_precision_are_named(build: Build) -> None:
    weights = {"w": kernel(16, 16, 3, 3), "v": kernel(5, 16, 1, 3)}
    graph = build(
        [("Conv", ["x", "w"], ["c"], {}), ("Conv", ["c", "v"], ["y"], {})],
        inputs={"x": (1, 16, 8, 8)},
        outputs=["y"],
        constants=weights,
    )
    data = [{"x": RANDOM.normal(size=(1, 16, 8, 8)).astype(np.float32)} for _ in range(8)]
    quantization = assign(graph, calibrate(graph, data, execute), scheme="tensorrt")
    lowered = lower(graph, precision="int8", version="10.3", quantization=quantization)
    assert lowered.float_layers == ("y_node",)


def test_a_graph_with_nothing_worth_int8_says_so(build: Build) -> None:
    graph = build([("Gemm", ["x", "w"], ["y"], {})], inputs={"x": (1, 8)}, outputs=["y"], constants={"w": kernel(8, 4)})
    data = [{"x": RANDOM.normal(size=(1, 8)).astype(np.float32)} for _ in range(8)]
    quantization = assign(graph, calibrate(graph, data, execute), scheme="tensorrt")
    lowered = lower(graph, precision="int8", version="10.3", quantization=quantization)
    assert any("half precision throughout" in note for note in lowered.notes)


def test_an_operator_newer_than_the_parser_is_said_in_older_ones_or_named(build: Build) -> None:
    constants = {"k": np.ones(8, np.float32)}
    norm = build([("LayerNormalization", ["x", "k"], ["y"], {})], inputs={"x": (1, 4, 8)}, outputs=["y"], constants=constants)
    assert not any(
        node.op_type == "LayerNormalization" for node in model(lower(norm, precision="fp32", version="8.2")).graph.node
    )
    lower_left = build([("Trilu", ["x"], ["y"], {})], inputs={"x": (4, 4)}, outputs=["y"])
    with pytest.raises(Unsupported, match="op Trilu at 'y_node' does not exist in operator set 13"):
        lower(lower_left, precision="fp32", version="8.2")


@pytest.mark.parametrize(("version", "ir"), [("8.2", 7), ("8.5", 8), ("10.3", 8), ("10.13", 9)])
def test_the_file_s_format_is_of_its_operator_set_s_time(made: Callable[..., Lowered], version: str, ir: int) -> None:
    assert model(made(version)).ir_version == ir


@pytest.mark.parametrize(("precision", "used"), [("int8", True), ("fp16", True), ("fp32", False)])
def test_ranges_matter_wherever_half_precision_may_be_used(precision: Any, used: bool) -> None:
    assert uses_ranges(precision) is used


@pytest.fixture
def norm(build: Build) -> Graph:
    """A layer normalization whose squares overflow half precision when its input is large."""
    nodes = [("MatMul", ["x", "w"], ["m"], {}), ("LayerNormalization", ["m", "k"], ["y"], {})]
    constants = {"w": kernel(16, 16) * 4, "k": np.ones(16, np.float32)}
    return build(nodes, inputs={"x": (1, 8, 16)}, outputs=["y"], constants=constants)


def ranged(graph: Graph, size: float) -> Any:
    return calibrate(graph, [{"x": RANDOM.normal(size=(1, 8, 16)).astype(np.float32) * size} for _ in range(4)], execute)


@pytest.mark.parametrize(("version", "options"), [("8.5", True), ("8.2", False)])
def test_where_flags_choose_half_precision_what_could_overflow_is_pinned_to_float32(
    norm: Graph, version: str, options: bool
) -> None:
    lowered = lower(norm, precision="fp16", version=version, calibration=ranged(norm, 20.0))
    recipe = json.loads(lowered.files["build.json"])
    names = {node.name for node in model(lowered).graph.node}
    assert set(recipe["float32_layers"]) <= names
    assert {"y_node", "y_node/ReduceMean", "y_node/Sqrt"} <= set(recipe["float32_layers"])
    assert "m_node" not in recipe["float32_layers"]
    assert recipe["flags"] == ["FP16", "OBEY_PRECISION_CONSTRAINTS"]
    assert ("--precisionConstraints=obey" in recipe["trtexec"]) is options
    assert any("y_node/Sqrt:fp32" in option for option in recipe["trtexec"]) is options


def test_where_the_ranges_fit_nothing_is_pinned(norm: Graph) -> None:
    recipe = json.loads(lower(norm, precision="fp16", version="8.5", calibration=ranged(norm, 0.3)).files["build.json"])
    assert (recipe["float32_layers"], recipe["flags"]) == ([], ["FP16"])


@pytest.mark.parametrize(
    ("version", "precision", "said"), [("8.5", "fp16", True), ("8.5", "fp32", False), ("10.13", "fp16", False)]
)
def test_parity_that_does_not_see_half_precision_says_so(norm: Graph, version: str, precision: Any, said: bool) -> None:
    lowered = lower(norm, precision=precision, version=version)
    assert any("without that rounding" in note for note in lowered.notes) is said


def test_float32_has_nothing_to_pin(norm: Graph) -> None:
    recipe = json.loads(lower(norm, precision="fp32", version="8.5", calibration=ranged(norm, 20.0)).files["build.json"])
    assert (recipe["float32_layers"], recipe["flags"]) == ([], [])


def test_int8_without_a_quantization_is_refused(graph: Graph) -> None:
    with pytest.raises(ConversionError, match="int8 needs a quantization"):
        lower(graph, precision="int8", version="10.3")
