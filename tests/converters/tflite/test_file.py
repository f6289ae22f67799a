"""The .tflite file: aligned, deterministic, named, of the oldest operator versions that say what is meant; or refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edgekit.converters.lower.tflite import legalise, lower
from edgekit.converters.lower.tflite.versions import oldest_runtime
from edgekit.core.errors import InputError, Unsupported
from edgekit.core.schema import TensorSpec

RNG = np.random.default_rng(13)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def graph(bench):
    nodes = [
        ("Conv", ["picture", "k", "b"], ["a"], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ("Relu", ["a"], ["r"], {}),
        ("Flatten", ["r"], ["f"], {}),
        ("Gemm", ["f", "w"], ["y"], {"transB": 1}),
        ("Softmax", ["y"], ["scores"], {}),
    ]
    return bench.graph({"picture": (1, 3, 8, 8)}, nodes, {"k": normal(4, 3, 3, 3), "b": normal(4), "w": normal(10, 64)})


def lowered(bench, graph, precision="fp32", edgetpu=False):
    legal = legalise(graph, edgetpu=edgetpu).graph
    quantization = bench.quantize(legal, bench.feed(graph)) if precision == "int8" else None
    return lower(legal, precision=precision, quantization=quantization, edgetpu=edgetpu)


def versions(data):
    model = schema.ModelT.InitFromPackedBuf(data)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    return {names[code.builtinCode]: code.version for code in model.operatorCodes}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_same_graph_always_gives_the_same_bytes(bench, graph, precision):
    first, second = (lowered(bench, graph, precision).files["model.tflite"] for _ in range(2))
    assert first == second


def test_every_constant_starts_at_a_multiple_of_16_bytes(bench, graph):
    data = lowered(bench, graph).files["model.tflite"]
    model = schema.Model.GetRootAs(data, 0)
    starts = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength()) if not model.Buffers(i).DataIsNone()]
    base = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    assert len(starts) > 3
    assert all((array.__array_interface__["data"][0] - base) % 16 == 0 for array in starts)


def test_the_first_buffer_is_empty_and_the_file_says_what_it_is(bench, graph):
    data = lowered(bench, graph).files["model.tflite"]
    model = schema.ModelT.InitFromPackedBuf(data)
    assert data[4:8] == b"TFL3" and model.version == 3 and model.buffers[0].data is None
    assert [entry.name for entry in model.metadata] == [b"min_runtime_version"]
    assert all(code.deprecatedBuiltinCode == min(code.builtinCode, 127) for code in model.operatorCodes)


def test_the_signature_has_the_names_of_the_source(bench, graph):
    interpreter = Interpreter(model_content=lowered(bench, graph).files["model.tflite"])
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["picture"], "outputs": ["scores"]}}


def test_float_operators_are_of_version_1(bench, graph):
    found = versions(lowered(bench, graph).files["model.tflite"])
    assert found == {"PAD": 1, "CONV_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}


def test_integer_operators_are_of_the_versions_the_edge_tpu_compiler_knows(bench, graph):
    found = versions(lowered(bench, graph, "int8", edgetpu=True).files["model.tflite"])
    assert found == {"PAD": 2, "CONV_2D": 3, "RESHAPE": 1, "FULLY_CONNECTED": 4, "SOFTMAX": 2}


def test_half_precision_weights_are_dequantized_and_inputs_and_outputs_stay_float32(bench, graph):
    result = lowered(bench, graph, "fp16")
    assert versions(result.files["model.tflite"])["DEQUANTIZE"] == 3
    assert {port.engine.dtype for port in (*result.inputs, *result.outputs)} == {"float32"}


def test_a_grouped_convolution_needs_version_6_and_the_edge_tpu_never_gets_one(bench):
    grouped = bench.graph({"x": (1, 4, 5, 5)}, [("Conv", ["x", "k"], ["y"], {"group": 2})], {"k": normal(6, 2, 3, 3)})
    assert versions(lowered(bench, grouped).files["model.tflite"])["CONV_2D"] == 6
    assert versions(lowered(bench, grouped, edgetpu=True).files["model.tflite"])["CONV_2D"] == 1


def test_the_file_names_the_oldest_runtime_that_knows_its_operators(bench, graph):
    grouped = bench.graph({"x": (1, 4, 5, 5)}, [("Conv", ["x", "k"], ["y"], {"group": 2})], {"k": normal(6, 2, 3, 3)})
    assert oldest_runtime(bench.program(graph)) == "2.5.0"
    assert oldest_runtime(bench.program(grouped)) == "2.9.0"


def test_two_outputs_that_are_the_same_data_are_two_tensors(bench):
    nodes = [("Relu", ["x"], ["r"], {}), ("Transpose", ["r"], ["y"], {"perm": [1, 0]}), ("Identity", ["r"], ["z"], {})]
    bench.check_float(bench.graph({"x": (2, 3)}, nodes))


def test_an_output_that_is_an_input_is_a_copy(bench):
    bench.check_float(bench.graph({"x": (2, 3)}, [("Identity", ["x"], ["y"], {})]))


def test_what_has_no_tflite_form_is_named_with_node_op_and_reason_and_the_others_are_counted(bench):
    nodes = [
        ("Atan", ["x"], ["a"], {}),
        ("LpPool", ["a"], ["y"], {"kernel_shape": [2, 2]}),
    ]
    strange = bench.graph({"x": (1, 2, 4, 4)}, nodes)
    message = r"tflite: op Atan at 'Atan_0': no TFLite form is known for this operator \(and 1 more\)"
    with pytest.raises(Unsupported, match=message) as caught:
        lowered(bench, strange)
    assert caught.value.hint


REFUSED = {
    "crop and resize": (
        "Resize",
        ["x", "roi", "s"],
        {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"},
        "coordinate mode 'tf_crop_and_resize' matches no TFLite form",
    ),
    "computed weights": ("Conv", ["x", "x"], {}, "its weights are computed"),
    "a remainder with the other sign": ("Mod", ["x", "x"], {"fmod": 1}, "the sign of the dividend"),
    "another pool": ("LpPool", ["x"], {"kernel_shape": [2, 2]}, "no TFLite form is known"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_form_that_tflite_lacks_is_refused_with_its_reason(bench, case):
    op, inputs, attributes, reason = REFUSED[case]
    constants = {"s": np.array([1, 1, 2, 2], np.float32), "roi": np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32)}
    used = {name: value for name, value in constants.items() if name in inputs}
    with pytest.raises(Unsupported, match=reason):
        lowered(bench, bench.graph({"x": (1, 4, 4, 4)}, [(op, inputs, ["y"], attributes)], used))


def test_an_output_that_depends_on_nothing_is_a_constant(bench):
    nodes = [("Expand", ["c", "shape"], ["y"], {}), ("Relu", ["x"], ["z"], {})]
    bench.check_float(bench.graph({"x": (2, 3)}, nodes, {"c": normal(1, 3), "shape": np.array([2, 3])}))


def test_an_attribute_of_the_wrong_type_is_named(bench):
    graph = bench.graph({"x": (1, 4, 4, 4)}, [("Softmax", ["x"], ["y"], {"axis": 1})])
    node = replace(graph.nodes[0], attributes={"axis": "last"})
    with pytest.raises(InputError, match="has the attribute axis='last'"):
        lowered(bench, graph.with_nodes([node]))


@pytest.mark.parametrize("op", ["Slice", "Pad"])
def test_axes_that_are_computed_are_not_taken_for_the_first_ones(bench, op):
    """The shapes say nothing here: the second of two dims of the same size is meant, or the first."""
    nodes = [
        ("ArgMax", ["x"], ["where"], {"axis": 1, "keepdims": 0}),
        ("Slice", ["where", "zero", "one"], ["axes"], {}),
        (op, ["x", "a", "b", "axes"], ["y"], {}),
    ]
    constants = {"zero": np.array([0]), "one": np.array([1])}
    constants |= {"a": np.array([1]), "b": np.array([3])} if op == "Slice" else {"a": np.array([1, 0]), "b": np.float32(0)}
    graph = bench.graph({"x": (4, 4)}, nodes, constants, opset=18)
    specs = {"y": TensorSpec(name="y", shape=(2, 4) if op == "Slice" else (5, 4), dtype="float32")}
    with pytest.raises(Unsupported, match="computed, not constant"):
        lowered(bench, replace(graph, specs={**graph.specs, **specs}, outputs=(specs["y"],)))


def test_gelu_and_its_runtime_are_named_together(bench):
    nodes = [
        ("Mul", ["x", "root"], ["u"], {}),
        ("Erf", ["u"], ["e"], {}),
        ("Add", ["e", "one"], ["g"], {}),
        ("Mul", ["x", "g"], ["m"], {}),
        ("Mul", ["m", "half"], ["y"], {}),
    ]
    constants = {"root": np.float32(0.5**0.5), "one": np.float32(1), "half": np.float32(0.5)}
    program = bench.program(bench.graph({"x": (2, 3)}, nodes, constants))
    assert [operator.name for operator in program.operators] == ["GELU"] and oldest_runtime(program) == "2.9.0"


def test_a_gelu_whose_half_went_into_the_next_weights_is_a_gelu_times_two(bench):
    nodes = [
        ("Mul", ["x", "root"], ["u"], {}),
        ("Erf", ["u"], ["e"], {}),
        ("Add", ["e", "one"], ["g"], {}),
        ("Mul", ["x", "g"], ["y"], {}),
    ]
    graph = bench.graph({"x": (2, 3)}, nodes, {"root": np.float32(0.5**0.5), "one": np.float32(1)})
    assert [operator.name for operator in bench.program(graph).operators] == ["GELU", "MUL"]
    bench.check_float(graph)


def test_the_square_of_x_times_its_gate_is_no_gelu(bench):
    nodes = [
        ("Mul", ["x", "root"], ["u"], {}),
        ("Erf", ["u"], ["e"], {}),
        ("Add", ["e", "one"], ["g"], {}),
        ("Mul", ["x", "x"], ["s"], {}),
        ("Mul", ["s", "g"], ["m"], {}),
        ("Mul", ["m", "half"], ["y"], {}),
    ]
    constants = {"root": np.float32(0.5**0.5), "one": np.float32(1), "half": np.float32(0.5)}
    bench.check_float(bench.graph({"x": (2, 3)}, nodes, constants))


def test_what_cannot_be_taken_over_of_a_quantized_model_is_named(bench):
    constants = {"scale": np.float32(0.05), "other": np.float32(0.1), "zero": np.int8(3)}
    nodes = [("QuantizeLinear", ["x", "scale", "zero"], ["q"], {}), ("DequantizeLinear", ["q", "other", "zero"], ["y"], {})]
    with pytest.raises(Unsupported) as caught:
        lower(bench.graph({"x": (2, 3)}, nodes, constants), precision="fp32", quantization=None, edgetpu=False)
    assert "convert the float model" in caught.value.hint
    assert "is not one of a pair with one grid" in str(caught.value)
