"""How the importer finds every size: tensors without elements, flips, long chains of shapes, and weights that inference never sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.importers.onnx.file import load
from edgekit.converters.optimise import optimise
from edgekit.core.errors import InputError
from edgekit.runtimes.onnxruntime import execute

END = np.iinfo(np.int64).max


def saved(tmp_path: Path, nodes: Sequence[onnx.NodeProto], constants: Mapping[str, object], *, shape: Sequence[int]) -> Path:
    """A model from 'x' of `shape` to 'y'; integers are int64, as sizes and axes are."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def flip(source: str, target: str) -> onnx.NodeProto:
    return helper.make_node("Slice", [source, "last", "far", "axis", "back"], [target])


FLIP = {"last": [-1], "far": [-END], "axis": [1], "back": [-1]}


def rolled(tmp_path: Path, by: int) -> Path:
    """torch.roll as the older exporter writes it, between two flips."""
    nodes = [
        flip("x", "flipped"),
        helper.make_node("Slice", ["flipped", "cut", "end", "axis", "one"], ["tail"]),
        helper.make_node("Slice", ["flipped", "zero", "cut", "axis", "one"], ["head"]),
        helper.make_node("Concat", ["tail", "head"], ["rolled"], axis=1),
        flip("rolled", "y"),
    ]
    return saved(tmp_path, nodes, {**FLIP, "cut": [by], "end": [END], "zero": [0], "one": [1]}, shape=[1, 6])


@pytest.mark.parametrize("by", [0, 2, 6])
def test_a_part_without_elements_is_not_joined(by: int, tmp_path: Path) -> None:
    path = rolled(tmp_path, by)
    graph = load(path).graph
    assert all(0 not in spec.shape for spec in graph.specs.values())
    x = np.arange(6, dtype=np.float32)[None]
    assert np.array_equal(execute(to_bytes(optimise(graph)))({"x": x})["y"], execute(path)({"x": x})["y"])


def test_a_part_without_elements_that_is_the_output_is_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Slice", ["x", "zero", "zero", "axis"], ["none"]), helper.make_node("Relu", ["none"], ["y"])]
    path = saved(tmp_path, nodes, {"zero": [0], "axis": [1]}, shape=[1, 6])
    with pytest.raises(InputError, match="op Slice makes 'none' with a dimension of size 0"):
        load(path)


def test_a_constant_without_elements_may_be_walked_backwards(tmp_path: Path) -> None:
    nodes = [flip("none", "still"), helper.make_node("Concat", ["x", "still"], ["y"], axis=1)]
    path = saved(tmp_path, nodes, {**FLIP, "none": np.zeros((1, 0), np.float32)}, shape=[1, 6])
    assert load(path).graph.shape("y") == (1, 6)


def test_a_slice_of_a_negative_size_is_named_rather_than_ending_the_process(tmp_path: Path) -> None:
    nodes = [helper.make_node("MaxPool", ["x"], ["pooled"], kernel_shape=[9]), flip("pooled", "y")]
    with pytest.raises(InputError, match="op MaxPool makes 'pooled' with a dimension of size -2"):
        load(saved(tmp_path, nodes, FLIP, shape=[1, 1, 6]))


@pytest.mark.parametrize("between", [1, 3])
def test_a_negative_size_behind_slices_is_named_rather_than_ending_the_process(between: int, tmp_path: Path) -> None:
    nodes, name = [], "x"
    for index in range(between):
        nodes += [flip(name, f"f{index}"), helper.make_node("MaxPool", [f"f{index}"], [f"p{index}"], kernel_shape=[2])]
        name = f"p{index}"
    nodes += [helper.make_node("MaxPool", [name], ["pooled"], kernel_shape=[9]), flip("pooled", "y")]
    with pytest.raises(InputError, match=f"op MaxPool makes 'pooled' with a dimension of size {-2 - between}"):
        load(saved(tmp_path, nodes, {**FLIP, "axis": [2]}, shape=[1, 1, 6]))


def test_a_negative_size_behind_a_slice_that_is_an_output_as_well_is_named(tmp_path: Path) -> None:
    nodes = [flip("x", "y"), helper.make_node("MaxPool", ["y"], ["pooled"], kernel_shape=[9]), flip("pooled", "z")]
    path = saved(tmp_path, nodes, {**FLIP, "axis": [2]}, shape=[1, 1, 6])
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="op MaxPool makes 'pooled' with a dimension of size -2"):
        load(path)


@pytest.mark.parametrize("change", [{"back": [0]}, {"axis": [7]}, {"last": [-1, 2]}], ids=["step 0", "axis 7", "two starts"])
def test_bounds_that_make_no_sense_are_a_sentence(change: dict[str, list[int]], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load(saved(tmp_path, [flip("x", "f"), flip("f", "y")], {**FLIP, **change}, shape=[1, 6]))


def test_as_many_flips_as_a_deep_network_pads_with_are_read(tmp_path: Path) -> None:
    nodes = [flip("x", f"f{index}") for index in range(100)]
    nodes.append(helper.make_node("Concat", [f"f{index}" for index in range(100)], ["y"], axis=1))
    assert load(saved(tmp_path, nodes, FLIP, shape=[1, 6])).graph.shape("y") == (1, 600)


def test_flips_one_behind_another_are_read(tmp_path: Path) -> None:
    nodes = [flip("x", "f0"), *(flip(f"f{index}", f"f{index + 1}") for index in range(90)), flip("f90", "y")]
    assert load(saved(tmp_path, nodes, FLIP, shape=[1, 6])).graph.shape("y") == (1, 6)


@pytest.mark.parametrize("blocks", [1, 40])
def test_a_chain_of_shapes_may_be_as_deep_as_the_network(blocks: int, tmp_path: Path) -> None:
    nodes, name = [], "x"
    for index in range(blocks):
        nodes += [
            helper.make_node("Shape", [name], [f"shape{index}"]),
            helper.make_node("Neg", [f"shape{index}"], [f"minus{index}"]),  # inference does not compute it: folding must
            helper.make_node("Neg", [f"minus{index}"], [f"again{index}"]),
            helper.make_node("Reshape", [name, f"again{index}"], [f"r{index}"]),
        ]
        name = f"r{index}"
    graph = load(saved(tmp_path, [*nodes, helper.make_node("Relu", [name], ["y"])], {}, shape=[1, 6])).graph
    assert {spec.shape for node in graph.nodes for spec in (graph.specs[node.output],)} == {(1, 6)}


def test_a_shape_that_depends_on_the_data_is_named_however_deep(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["where"]),
        helper.make_node("Cast", ["where"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Relu", ["real"], ["y"]),
    ]
    with pytest.raises(InputError, match=r"op NonZero .* makes 'where', whose shape depends on the data"):
        load(saved(tmp_path, nodes, {}, shape=[1, 6]))


def test_inference_never_sees_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {"w": np.ones((6, 500), np.float32), "table": np.arange(5000)}
    stored = helper.make_node("Constant", [], ["v"], value=numpy_helper.from_array(np.ones((500, 500), np.float32)))
    nodes = [
        stored,
        flip("x", "flipped"),
        helper.make_node("MatMul", ["flipped", "w"], ["a"]),
        helper.make_node("MatMul", ["a", "v"], ["b"]),
        helper.make_node("Gather", ["b", "table"], ["y"], axis=0),
    ]
    path = saved(tmp_path, nodes, {**FLIP, **weights}, shape=[6, 6])
    seen, infer = [], onnx.shape_inference.infer_shapes

    def weighed(model: onnx.ModelProto, **options: bool) -> onnx.ModelProto:
        seen.append(model.ByteSize())
        return infer(model, **options)

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", weighed)
    graph = load(path).graph
    assert graph.shape("y") == (5000, 500)
    assert {"w", "v", "table"} <= graph.constants.keys()
    assert max(seen) < 2000


def test_a_constant_that_nothing_reads_is_not_judged(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    graph = load(saved(tmp_path, nodes, {"unread": np.full(3, np.nan, np.float32)}, shape=[1, 6])).graph
    assert not graph.constants
