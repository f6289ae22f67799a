"""What happens to ONNX files, good and bad."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.importers.onnx.file import WORKING_OPSET, load
from edgekit.core.errors import EdgekitError, InputError, NotFound, Unsupported


def relu_model(shape: Sequence[int | str] = (1, 4), *, op: str = "Relu", domain: str = "", opset: int = 17) -> onnx.ModelProto:
    node = helper.make_node(op, ["x"], ["y"], name="the_node", domain=domain)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def saved(tmp_path: Path, model: onnx.ModelProto) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_a_static_model_keeps_its_names_and_shapes(tmp_path: Path) -> None:
    graph = load(saved(tmp_path, relu_model())).graph
    assert [(s.name, s.shape, s.dtype) for s in (*graph.inputs, *graph.outputs)] == [
        ("x", (1, 4), "float32"),
        ("y", (1, 4), "float32"),
    ]


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
def test_older_models_come_in_the_working_operator_set(tmp_path: Path, opset: int) -> None:
    assert load(saved(tmp_path, relu_model(opset=opset))).graph.opset == WORKING_OPSET


def test_a_dynamic_batch_becomes_one_and_is_said_aloud(tmp_path: Path) -> None:
    imported = load(saved(tmp_path, relu_model(("N", 4))))
    assert imported.graph.outputs[0].shape == (1, 4)
    assert "dynamic batch" in imported.notes[0]


def test_other_dynamic_dimensions_are_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'x' has dynamic dimensions: 0 \(N\), 1 \(width\)") as caught:
        load(saved(tmp_path, relu_model(("N", "width"))))
    assert "--input-shape x=" in caught.value.hint


def test_a_named_shape_makes_everything_static(tmp_path: Path) -> None:
    imported = load(saved(tmp_path, relu_model(("N", "width"))), input_shapes={"x": (2, 6)})
    assert imported.graph.outputs[0].shape == (2, 6)


def test_a_shape_for_an_input_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no input 'X'") as caught:
        load(saved(tmp_path, relu_model()), input_shapes={"X": (1, 4)})
    assert "'x'" in caught.value.hint


def test_a_shape_of_another_rank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 2 dimensions"):
        load(saved(tmp_path, relu_model(("N", 4))), input_shapes={"x": (1, 4, 4)})


def test_no_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no model file"):
        load(tmp_path / "nothing.onnx")


def test_a_folder_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello, I am not a model", id="text"),
        pytest.param(b"\x08\x07\x12\xff\xff\xff\xff\x0f", id="a length that runs off the end"),
        pytest.param(bytes(range(256)), id="bytes"),
    ],
)
def test_what_is_not_onnx_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(data)
    with pytest.raises(InputError, match="not an ONNX"):
        load(tmp_path / "bad.onnx")


def test_every_truncation_is_a_sentence_not_a_crash(tmp_path: Path) -> None:
    data = relu_model().SerializeToString()
    for size in range(len(data)):
        (tmp_path / "cut.onnx").write_bytes(data[:size])
        try:
            load(tmp_path / "cut.onnx")
        except EdgekitError as error:
            assert error.message


def test_a_file_over_two_gib_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate((1 << 31) + 1)
    with pytest.raises(InputError, match=r"2\.0 GiB"):
        load(path)


def test_an_op_nobody_knows_is_named_with_its_node(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="op Frobnicate at 'the_node' does not exist"):
        load(saved(tmp_path, relu_model(op="Frobnicate")))


def test_a_custom_domain_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"custom domain 'com\.acme'"):
        load(saved(tmp_path, relu_model(domain="com.acme")))


def test_weights_that_were_left_out_are_named(tmp_path: Path) -> None:
    model = relu_model()
    model.graph.node[0].op_type = "Add"
    model.graph.node[0].input.append("w")
    with pytest.raises(InputError, match="reads 'w', which nothing in the model makes"):
        load(saved(tmp_path, model))


def test_a_cycle_is_named(tmp_path: Path) -> None:
    model = relu_model()
    model.graph.node[0].input[0] = "z"
    model.graph.node.append(helper.make_node("Relu", ["y"], ["z"]))
    with pytest.raises(InputError, match="reads 'z'"):
        load(saved(tmp_path, model))


def with_external_weight(location: str, *, length: int | None = None) -> onnx.ModelProto:
    model = relu_model()
    model.graph.node[0].op_type = "Add"
    model.graph.node[0].input.append("w")
    tensor = numpy_helper.from_array(np.ones((1, 4), np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entries = {"location": location} | ({} if length is None else {"length": str(length)})
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    model.graph.initializer.append(tensor)
    return model


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(np.full(4, 3, np.float32).tobytes())
    graph = load(saved(tmp_path, with_external_weight("weights.bin"))).graph
    assert graph.constants["w"].tolist() == [[3, 3, 3, 3]]


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "a/../../weights.bin", ""])
def test_external_data_may_not_leave_the_folder(tmp_path: Path, location: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    with pytest.raises(InputError, match="outside its folder"):
        load(saved(inner, with_external_weight(location)))


def test_external_data_behind_a_link_may_not_leave_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    (inner / "weights.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(InputError, match="outside its folder"):
        load(saved(inner, with_external_weight("weights.bin")))


def test_missing_external_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"external data file 'weights\.bin', which is missing"):
        load(saved(tmp_path, with_external_weight("weights.bin")))


@pytest.mark.parametrize(("size", "length"), [(12, None), (16, 8), (16, 10**15)])
def test_external_data_that_is_too_short_is_named(tmp_path: Path, size: int, length: int | None) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(size))
    with pytest.raises(InputError, match=r"'w' needs 16 bytes of 'weights\.bin'"):
        load(saved(tmp_path, with_external_weight("weights.bin", length=length)))


def test_control_flow_is_named(tmp_path: Path) -> None:
    branch = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["b"])], "b", [], [helper.make_tensor_value_info("b", TensorProto.INT64, None)]
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["c"], to=TensorProto.BOOL),
        helper.make_node("If", ["c"], ["y"], name="fork", then_branch=branch, else_branch=branch),
    ]
    model = relu_model()
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(EdgekitError, match="fork"):
        load(saved(tmp_path, model))


def test_metadata_of_a_model_trained_here_is_read(tmp_path: Path) -> None:
    model = relu_model()
    model.metadata_props.add(key="edgekit", value='{"licence": "CC0", "preprocess": {"input": "x", "height": 2, "width": 2}}')
    imported = load(saved(tmp_path, model))
    assert imported.source.licence == "CC0"
    assert imported.preprocess is not None
    assert imported.preprocess.height == 2


def test_damaged_metadata_is_an_error(tmp_path: Path) -> None:
    model = relu_model()
    model.metadata_props.add(key="edgekit", value='{"preprocess": 7}')
    with pytest.raises(InputError, match="metadata"):
        load(saved(tmp_path, model))


@pytest.mark.parametrize("name", ["yolox_nano", "fastestdet", "yunet_n_640_640", "ultraface_version-RFB-320"])
def test_real_models_compute_the_same_after_import_and_cleaning(shared_data: Path, name: str) -> None:
    from edgekit.converters.graph_onnx import to_bytes
    from edgekit.converters.optimise import optimise
    from edgekit.runtimes.onnxruntime import execute

    path = shared_data / "models_onnx" / f"{name}.onnx"
    graph = optimise(load(path).graph)
    feed = {s.name: np.random.default_rng(0).random(s.shape, np.float32) for s in graph.inputs}
    expected, found = execute(path)(feed), execute(to_bytes(graph))(feed)
    assert list(expected) == list(found)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-5 * float(np.abs(value).max()))


def chain(*nodes: onnx.NodeProto, inputs: Sequence[str] = ("x",), output: str = "y") -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_operators_out_of_order_are_sorted_and_said_so(tmp_path: Path) -> None:
    model = chain(helper.make_node("Relu", ["m"], ["y"]), helper.make_node("Exp", ["x"], ["m"]))
    found = load(saved(tmp_path, model))
    assert [node.op for node in found.graph.nodes] == ["Exp", "Relu"]
    assert "out of order" in found.notes[0]


def test_a_tensor_written_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="writes 'y', which is there already"):
        load(saved(tmp_path, chain(helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Exp", ["x"], ["y"]))))


def test_nodes_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    model = chain(helper.make_node("Relu", ["x"], ["m"], name="same"), helper.make_node("Exp", ["m"], ["y"], name="same"))
    assert len({node.name for node in load(saved(tmp_path, model)).graph.nodes}) == 2


@pytest.mark.parametrize("what", ["input", "initializer", "output"])
def test_a_name_given_twice_is_named(what: str, tmp_path: Path) -> None:
    model = chain(helper.make_node("Relu", ["x"], ["y"]))
    if what == "initializer":
        model.graph.initializer.extend([numpy_helper.from_array(np.ones(4, np.float32), "w")] * 2)
    else:
        values = getattr(model.graph, what)
        values.append(values[0])
    with pytest.raises(InputError, match="several"):
        load(saved(tmp_path, model))


def test_all_open_inputs_are_asked_for_at_once(tmp_path: Path) -> None:
    model = chain(helper.make_node("Add", ["a", "b"], ["y"]), inputs=("a", "b"))
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[1].dim_param = f"{value.name}_length"
    with pytest.raises(InputError, match=r"'a' has .*1 \(a_length\); input 'b' has .*1 \(b_length\)") as caught:
        load(saved(tmp_path, model))
    assert "--input-shape a=1x224 --input-shape b=1x224" in caught.value.hint


def weighted(weight: np.ndarray, kind: int = TensorProto.FLOAT, op: str = "MatMul") -> onnx.ModelProto:
    model = chain(helper.make_node(op, ["x", "w"], ["y"]))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = kind
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return model


@pytest.mark.parametrize(("dtype", "kind", "said"), [(np.float16, 10, "half precision"), (np.float64, 11, "double precision")])
def test_other_precisions_are_read_as_single_with_a_note(dtype: type, kind: int, said: str, tmp_path: Path) -> None:
    found = load(saved(tmp_path, weighted(np.full((4, 2), 0.5, dtype), kind)))
    assert {spec.dtype for spec in found.graph.specs.values()} == {"float32"}
    assert said in found.notes[-1]
    assert found.model


def test_casts_to_half_precision_inside_are_single_too(tmp_path: Path) -> None:
    model = chain(
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Cast", ["r"], ["y"], to=TensorProto.FLOAT),
    )
    assert {spec.dtype for spec in load(saved(tmp_path, model)).graph.specs.values()} == {"float32"}


def test_doubles_that_single_precision_cannot_hold_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'w' holds numbers beyond single precision in 8 places"):
        load(saved(tmp_path, weighted(np.full((4, 2), 1e300), TensorProto.DOUBLE)))


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_weights_that_are_no_numbers_are_named(value: float, kind: str, tmp_path: Path) -> None:
    weight = np.ones((4, 2), np.float32)
    weight[1, 1] = value
    with pytest.raises(InputError, match=f"'w' holds {kind} in 1 of 8 places"):
        load(saved(tmp_path, weighted(weight)))


def test_a_mask_may_hold_infinity(tmp_path: Path) -> None:
    mask = np.array([[0, -np.inf, 0, 0]], np.float32)
    assert load(saved(tmp_path, weighted(mask, op="Add"))).graph.constants["w"].min() == -np.inf


def test_what_an_exporter_says_wrongly_of_inner_shapes_does_not_count(tmp_path: Path) -> None:
    model = chain(helper.make_node("Relu", ["x"], ["m"]), helper.make_node("Exp", ["m"], ["y"]))
    model.graph.value_info.append(helper.make_tensor_value_info("m", TensorProto.FLOAT, [1, 7]))
    assert load(saved(tmp_path, model)).graph.shape("m") == (1, 4)


@pytest.mark.parametrize("opset", [18, 21])
def test_group_normalizations_behind_one_another_keep_their_shape(opset: int, tmp_path: Path) -> None:
    """onnx infers none for them, and a dynamic batch forgets what the exporter said."""
    blocks = [helper.make_node("GroupNormalization", [a, "s", "b"], [c], num_groups=2) for a, c in ("xm", "mn", "ny")]
    model = chain(*blocks)
    model.opset_import[0].version = opset
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 3, 5]))
    values = np.ones(2 if opset == 18 else 4, np.float32)
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name in "sb")
    assert load(saved(tmp_path, model)).graph.shape("y") == (1, 4, 3, 5)


def test_a_window_larger_than_its_input_is_named(tmp_path: Path) -> None:
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[9])
    model = chain(node)
    model.graph.input[0].type.tensor_type.shape.dim.add(dim_value=5)
    with pytest.raises(InputError, match="op MaxPool makes 'y' with a dimension of size -3"):
        load(saved(tmp_path, model))


def test_a_slice_backwards_over_nothing_is_named(tmp_path: Path) -> None:
    model = chain(
        helper.make_node("Slice", ["x", "zero", "zero", "one"], ["empty"]),
        helper.make_node("Slice", ["empty", "end", "start", "one", "back"], ["y"]),
    )
    for name, value in {"zero": 0, "one": 1, "end": -1, "start": -9, "back": -1}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
    with pytest.raises(InputError, match="'empty' with a dimension of size 0"):
        load(saved(tmp_path, model))


def test_a_function_that_calls_itself_is_named(tmp_path: Path) -> None:
    model = chain(helper.make_node("Loop", ["x"], ["y"], domain="local"))
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    body = helper.make_node("Loop", ["a"], ["b"], domain="local")
    model.functions.append(helper.make_function("local", "Loop", ["a"], ["b"], [body], sets))
    model.opset_import.append(helper.make_opsetid("local", 1))
    with pytest.raises(InputError, match="'Loop' calls itself"):
        load(saved(tmp_path, model))


def test_a_function_is_unfolded_and_its_operators_are_checked(tmp_path: Path) -> None:
    model = chain(helper.make_node("Twice", ["x"], ["y"], domain="local"))
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("com.acme", 1)]
    body = helper.make_node("Secret", ["a"], ["b"], domain="com.acme")
    model.functions.append(helper.make_function("local", "Twice", ["a"], ["b"], [body], sets))
    model.opset_import.extend([helper.make_opsetid("local", 1), helper.make_opsetid("com.acme", 1)])
    with pytest.raises(Unsupported, match=r"op Secret .*com\.acme"):
        load(saved(tmp_path, model))


def test_an_attribute_that_is_an_empty_list_survives_the_way_back() -> None:
    from edgekit.converters.graph_onnx import from_model, to_model

    model = chain(helper.make_node("Relu", ["x"], ["y"]))
    model.graph.node[0].attribute.append(helper.make_attribute("axes", [], attr_type=onnx.AttributeProto.INTS))
    assert list(to_model(from_model(model)).graph.node[0].attribute[0].ints) == []


def test_a_constant_whose_bytes_do_not_fit_its_shape_is_named(tmp_path: Path) -> None:
    model = weighted(np.ones((4, 2), np.float32))
    model.graph.initializer[0].dims[0] = 10**9
    model.graph.node[0].op_type = "Relu"
    model.graph.node[0].input[:] = ["w"]
    with pytest.raises(InputError, match=r"'w' of shape \(1000000000, 2\) does not hold together"):
        load(saved(tmp_path, model))
