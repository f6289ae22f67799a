"""ONNX for ONNX Runtime: fused where it should be, near the source, same face."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import from_model, to_bytes
from edgekit.converters.importers.onnx.file import load
from edgekit.converters.lower.onnx import MODEL, WIDELY_READ, lower
from edgekit.converters.optimise import optimise
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.converters.quantize.rules.schemes import Style
from edgekit.core.errors import ConversionError
from edgekit.runtimes.onnxruntime import execute, simulate

Build = Callable[..., Graph]
Feed = Mapping[str, NDArray[Any]]
RANDOM = np.random.default_rng(2)


def feeds(graph: Graph, count: int = 8, scale: float = 1.0) -> list[Feed]:
    return [
        {spec.name: RANDOM.normal(scale=scale, size=spec.shape).astype(np.float32) for spec in graph.inputs}
        for _ in range(count)
    ]


def quantized(graph: Graph, dialect: Literal["x86", "arm"], data: list[Feed]) -> bytes:
    quantization = assign(graph, calibrate(graph, data, execute), scheme=f"ort-{dialect}")  # type: ignore[arg-type]
    return lower(graph, precision="int8", quantization=quantization).files[MODEL]


def fused_ops(model: bytes, path: Path) -> Counter[str]:
    """What ONNX Runtime makes of a model, signed integers allowed as they are on Arm."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path / "optimised.onnx")
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(path / "optimised.onnx").graph.node)


def sqnr_db(reference: NDArray[Any], found: NDArray[Any]) -> float:
    signal, noise = np.square(reference.astype(np.float64)).sum(), np.square(reference.astype(np.float64) - found).sum()
    return float(10 * np.log10(signal / max(noise, 1e-30)))


def kernel(*shape: int) -> NDArray[np.float32]:
    return (RANDOM.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


@pytest.fixture
def residual(build: Build) -> Graph:
    """Relu6, depthwise, SiLU, a residual, pooling and a classifier: the parts of most small networks."""
    nodes = [
        ("Conv", ["x", "w1", "b1"], ["c1"], {"pads": [1, 1, 1, 1]}),
        ("Clip", ["c1", "lo", "hi"], ["r1"], {}),
        ("Conv", ["r1", "w2", "b1"], ["c2"], {"pads": [1, 1, 1, 1], "group": 8}),
        ("Sigmoid", ["c2"], ["g2"], {}),
        ("Mul", ["c2", "g2"], ["m2"], {}),
        ("Conv", ["m2", "w3", "b1"], ["c3"], {}),
        ("Add", ["r1", "c3"], ["a"], {}),
        ("Relu", ["a"], ["ra"], {}),
        ("MaxPool", ["ra"], ["p"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("GlobalAveragePool", ["p"], ["gap"], {}),
        ("Flatten", ["gap"], ["f"], {}),
        ("Gemm", ["f", "fc", "fb"], ["logits"], {"transB": 1}),
        ("Softmax", ["logits"], ["y"], {"axis": 1}),
    ]
    constants = {
        "w1": kernel(8, 3, 3, 3),
        "w2": kernel(8, 1, 3, 3),
        "w3": kernel(8, 8, 1, 1),
        "b1": RANDOM.normal(size=8).astype(np.float32),
        "fc": kernel(200, 8) * 4,
        "fb": RANDOM.normal(size=200).astype(np.float32),
        "lo": np.float32(0),
        "hi": np.float32(6),
    }
    return build(nodes, inputs={"x": (1, 3, 16, 16)}, outputs=["y"], constants=constants)


@pytest.mark.parametrize("dialect", ["x86", "arm"])
def test_every_heavy_operator_becomes_an_integer_kernel(
    residual: Graph, dialect: Literal["x86", "arm"], tmp_path: Path
) -> None:
    ops = fused_ops(quantized(residual, dialect, feeds(residual)), tmp_path)
    assert ops["QLinearConv"] == 3
    assert ops["QGemm"] == 1
    assert ops["QLinearAdd"] == 1
    assert not {"Conv", "Gemm", "Clip", "Relu", "Add", "Mul", "Sigmoid"} & set(ops)
    assert (ops["QuantizeLinear"], ops["DequantizeLinear"]) == (1, 1)


@pytest.mark.parametrize("dialect", ["x86", "arm"])
def test_integers_stay_near_the_source_on_data_not_calibrated_on(residual: Graph, dialect: Literal["x86", "arm"]) -> None:
    run, reference = simulate(quantized(residual, dialect, feeds(residual, 32))), execute(to_bytes(residual))
    held = feeds(residual)
    assert sqnr_db(np.stack([reference(f)["y"] for f in held]), np.stack([run(f)["y"] for f in held])) > 25


def test_the_face_keeps_names_shapes_and_float32(residual: Graph) -> None:
    lowered = lower(residual, precision="fp32")
    model = onnx.load_model_from_string(quantized(residual, "x86", feeds(residual)))
    onnx.checker.check_model(model, full_check=True)
    for value, port in ((model.graph.input[0], lowered.inputs[0]), (model.graph.output[0], lowered.outputs[0])):
        assert port.source == port.engine
        assert value.name == port.engine.name
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_the_same_graph_gives_the_same_bytes(residual: Graph) -> None:
    data = feeds(residual)
    assert quantized(residual, "x86", data) == quantized(residual, "x86", data)


def test_an_output_that_is_also_read_inside_shows_what_the_integers_gave(build: Build) -> None:
    nodes = [("Conv", ["x", "w"], ["y"], {}), ("Conv", ["y", "w"], ["z"], {})]
    graph = build(nodes, inputs={"x": (1, 4, 6, 6)}, outputs=["y", "z"], constants={"w": kernel(4, 4, 1, 1)})
    data = feeds(graph)
    run, reference = simulate(quantized(graph, "x86", data)), execute(to_bytes(graph))
    for name in ("y", "z"):
        assert sqnr_db(reference(data[0])[name], run(data[0])[name]) > 25
    assert np.unique(run(data[0])["y"]).size <= 256


@pytest.mark.parametrize("op", ["Conv", "Gemm", "MatMul"])
def test_layers_that_share_a_weight_load_where_sums_are_made_exact(build: Build, op: str) -> None:
    """On x86 without dot products ONNX Runtime rewrites the weights of each layer, and fails where another layer has them, too."""
    shape = (1, 4, 6, 6) if op == "Conv" else (1, 4)
    weight = kernel(4, 4, 1, 1) if op == "Conv" else kernel(4, 4)
    layers = [(op, [source, "w"], [target], {}) for source, target in (("x", "y"), ("y", "z"))]
    nodes = [*layers, ("Relu", ["z"], ["out"], {})]
    graph = build(nodes, inputs={"x": shape}, outputs=["out"], constants={"w": weight})
    data = feeds(graph)
    calibration = calibrate(graph, data, execute)
    quantization = assign(graph, calibration, scheme="ort-x86", style=Style(float_end=False))
    model = lower(graph, precision="int8", quantization=quantization).files[MODEL]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    assert sqnr_db(execute(to_bytes(graph))(data[0])["out"], session.run(None, data[0])[0]) > 20


def test_an_input_that_is_an_output_of_nothing_else_may_be_read_by_float_and_integer_nodes(
    build: Build, tmp_path: Path
) -> None:
    nodes = [("Conv", ["x", "w"], ["y"], {}), ("Erf", ["x"], ["e"], {})]
    graph = build(nodes, inputs={"x": (1, 4, 6, 6)}, outputs=["y", "e"], constants={"w": kernel(4, 4, 1, 1)})
    model = quantized(graph, "x86", feeds(graph))
    assert fused_ops(model, tmp_path)["QLinearConv"] == 1


def test_names_that_look_like_ours_do_not_collide(build: Build) -> None:
    nodes = [("Conv", ["x", "x/scale"], ["x/quantized"], {}), ("Relu", ["x/quantized"], ["x/dequantized"], {})]
    graph = build(nodes, inputs={"x": (1, 4, 6, 6)}, outputs=["x/dequantized"], constants={"x/scale": kernel(4, 4, 1, 1)})
    data = feeds(graph)
    found = simulate(quantized(graph, "x86", data))(data[0])["x/dequantized"]
    assert sqnr_db(execute(to_bytes(graph))(data[0])["x/dequantized"], found) > 25


def test_a_huge_bias_over_tiny_weights_survives(build: Build) -> None:
    weight = kernel(4, 4, 1, 1)
    weight[2] *= 1e-8
    constants = {"w": weight, "b": np.array([0.1, -0.2, 50.0, 0.0], np.float32)}
    graph = build([("Conv", ["x", "w", "b"], ["y"], {})], inputs={"x": (1, 4, 6, 6)}, outputs=["y"], constants=constants)
    data = feeds(graph)
    assert np.allclose(simulate(quantized(graph, "x86", data))(data[0])["y"][0, 2], 50.0, atol=0.3)


def test_half_weights_halve_the_file_and_run_anywhere(build: Build) -> None:
    nodes = [("Conv", ["x", "w"], ["y"], {})]
    graph = build(nodes, inputs={"x": (1, 64, 6, 6)}, outputs=["y"], constants={"w": kernel(64, 64, 3, 3)})
    half, full = lower(graph, precision="fp16").files[MODEL], lower(graph, precision="fp32").files[MODEL]
    assert len(half) < 0.52 * len(full)
    data = feeds(graph, 1)[0]
    assert sqnr_db(execute(full)(data)["y"], execute(half)(data)["y"]) > 60


def test_weights_beyond_half_precision_stay_float32(build: Build) -> None:
    graph = build(
        [("Mul", ["x", "k"], ["y"], {})], inputs={"x": (1, 64)}, outputs=["y"], constants={"k": np.full(64, 1e6, np.float32)}
    )
    data = {"x": np.ones((1, 64), np.float32)}
    assert np.array_equal(execute(lower(graph, precision="fp16").files[MODEL])(data)["y"], np.full((1, 64), 1e6, np.float32))


def test_int8_without_a_quantization_is_refused(residual: Graph) -> None:
    with pytest.raises(ConversionError, match="int8 needs a quantization"):
        lower(residual, precision="int8")


def pairs(model: bytes) -> Graph:
    return from_model(onnx.shape_inference.infer_shapes(onnx.load_model_from_string(model)))


@pytest.mark.parametrize(("dialect", "kind"), [("x86", "uint8"), ("arm", "int8")])
def test_each_processor_has_its_own_activations_and_both_have_symmetric_weights(
    residual: Graph, dialect: Literal["x86", "arm"], kind: str
) -> None:
    found = pairs(quantized(residual, dialect, feeds(residual)))
    forth = [node for node in found.nodes if node.op == "QuantizeLinear"]
    assert forth
    assert {found.constants[node.inputs[2]].dtype.name for node in forth} == {kind}
    stored = [node for node in found.nodes if node.op == "DequantizeLinear" and node.inputs[0] in found.constants]
    for node in stored:
        value, zero = found.constants[node.inputs[0]], found.constants[node.inputs[2]]
        if node.inputs[0].endswith("/bias"):
            assert (value.dtype, zero.dtype) == (np.int32, np.int32)
        if value.dtype == np.int8:
            assert value.min() >= -127
        if value.dtype != np.dtype(kind):
            assert not zero.any()


@pytest.mark.parametrize("dialect", ["x86", "arm"])
def test_weights_are_per_output_channel_and_biases_have_the_product_of_the_scales(
    residual: Graph, dialect: Literal["x86", "arm"]
) -> None:
    found = pairs(quantized(residual, dialect, feeds(residual)))
    for node in (node for node in found.nodes if node.op in ("Conv", "Gemm")):
        data, weight, bias = (found.producers[name] for name in node.inputs[:3])
        channels = found.constants[weight.inputs[0]].shape[0]
        assert weight.attributes["axis"] == 0
        assert found.constants[weight.inputs[1]].shape == (channels,)
        product = found.constants[data.inputs[1]] * found.constants[weight.inputs[1]]
        assert np.allclose(found.constants[bias.inputs[1]], product, rtol=1e-6)


@pytest.mark.parametrize("dialect", ["x86", "arm"])
def test_no_pair_stands_between_a_computation_and_its_clamp(residual: Graph, dialect: Literal["x86", "arm"]) -> None:
    found = pairs(quantized(residual, dialect, feeds(residual)))
    for node in (node for node in found.nodes if node.op in ("Clip", "Relu")):
        assert found.producers[node.inputs[0]].op in ("Conv", "Add")


def test_newer_operator_sets_are_brought_to_one_that_every_runtime_of_today_reads(build: Build) -> None:
    nodes = [("Conv", ["x", "w"], ["c"], {}), ("Reshape", ["c", "s"], ["r"], {}), ("RMSNormalization", ["r", "k"], ["y"], {})]
    constants = {"w": kernel(4, 4, 1, 1), "s": np.array([1, 4, 36]), "k": np.ones(36, np.float32)}
    graph = build(nodes, inputs={"x": (1, 4, 6, 6)}, outputs=["y"], constants=constants, opset=23)
    data = feeds(graph)
    for model in (lower(graph, precision="fp32").files[MODEL], quantized(graph, "arm", data)):
        loaded = onnx.load_model_from_string(model)
        onnx.checker.check_model(loaded, full_check=True)
        assert loaded.opset_import[0].version == WIDELY_READ
        assert sqnr_db(execute(to_bytes(graph))(data[0])["y"], simulate(model)(data[0])["y"]) > 25


def test_an_operator_that_only_new_runtimes_read_stays_and_is_named(build: Build) -> None:
    nodes = [("TensorScatter", ["x", "u"], ["y"], {})]
    graph = build(nodes, inputs={"x": (1, 2, 6, 4), "u": (1, 2, 1, 4)}, outputs=["y"], opset=24)
    (note,) = lower(graph, precision="fp32").notes
    assert "reads operator set 24: op TensorScatter at 'y_node'" in note


def test_half_weights_do_not_collide_with_names_like_theirs(build: Build) -> None:
    nodes = [("Add", ["x", "w"], ["w/float16"], {}), ("Mul", ["w/float16", "w"], ["y"], {})]
    graph = build(nodes, inputs={"x": (1, 64)}, outputs=["y"], constants={"w": kernel(1, 64)})
    model = lower(graph, precision="fp16").files[MODEL]
    onnx.checker.check_model(onnx.load_model_from_string(model), full_check=True)
    data = feeds(graph, 1)[0]
    assert sqnr_db(execute(to_bytes(graph))(data)["y"], execute(model)(data)["y"]) > 50


def test_mixed_is_not_a_form_of_onnx_for_this_runtime(residual: Graph) -> None:
    with pytest.raises(ConversionError, match="no mixed form"):
        lower(residual, precision="mixed")


@pytest.mark.parametrize(
    ("name", "convolutions"),
    [("fastestdet.onnx", 70), ("yunet_n_640_640.onnx", 59), ("ultraface_version-RFB-320.onnx", 52), ("yolox_nano.onnx", 113)],
)
@pytest.mark.parametrize("dialect", ["x86", "arm"])
def test_all_convolutions_of_real_detectors_are_fused(
    shared_data: Path, name: str, convolutions: int, dialect: Literal["x86", "arm"], tmp_path: Path
) -> None:
    graph = optimise(load(shared_data / "models_onnx" / name).graph)
    ops = fused_ops(quantized(graph, dialect, feeds(graph, 1)), tmp_path)
    assert ops["QLinearConv"] == convolutions
    assert ops["Conv"] == 0


def test_attention_embeddings_and_upsampling_come_through_with_integers(build: Build) -> None:
    nodes = [
        ("Gather", ["table", "ids"], ["e"], {}),
        ("Add", ["x", "e"], ["t"], {}),
        ("LayerNormalization", ["t", "ones"], ["n"], {}),
        ("MatMul", ["n", "wq"], ["q"], {}),
        ("Transpose", ["n"], ["nt"], {"perm": [0, 2, 1]}),
        ("MatMul", ["q", "nt"], ["scores"], {}),
        ("Softmax", ["scores"], ["p"], {"axis": -1}),
        ("MatMul", ["p", "n"], ["v"], {}),
        ("Erf", ["v"], ["g"], {}),
        ("Unsqueeze", ["g", "one"], ["u"], {}),
        ("ConvTranspose", ["u", "up"], ["c"], {"strides": [2, 2]}),
        ("PRelu", ["c", "slope"], ["y"], {}),
    ]
    constants = {
        "table": kernel(9, 16),
        "ids": np.array([[1, 4, 2, 8]]),
        "ones": np.ones(16, np.float32),
        "wq": kernel(16, 16),
        "one": np.array([1]),
        "up": kernel(1, 2, 2, 2),
        "slope": np.full((2, 1, 1), 0.1, np.float32),
    }
    graph = build(nodes, inputs={"x": (1, 4, 16)}, outputs=["y"], constants=constants)
    data = feeds(graph)
    for dialect in ("x86", "arm"):
        run = simulate(quantized(graph, dialect, data))  # type: ignore[arg-type]
        assert sqnr_db(execute(to_bytes(graph))(data[0])["y"], run(data[0])["y"]) > 15


def test_sound_of_one_dimension_is_quantized_like_pictures(build: Build, tmp_path: Path) -> None:
    nodes = [("Conv", ["x", "w"], ["c"], {}), ("Relu", ["c"], ["r"], {}), ("GlobalAveragePool", ["r"], ["y"], {})]
    graph = build(nodes, inputs={"x": (1, 4, 32)}, outputs=["y"], constants={"w": kernel(8, 4, 5)})
    data = feeds(graph)
    model = quantized(graph, "x86", data)
    assert fused_ops(model, tmp_path)["QLinearConv"] == 1
    assert sqnr_db(execute(to_bytes(graph))(data[0])["y"], simulate(model)(data[0])["y"]) > 25
