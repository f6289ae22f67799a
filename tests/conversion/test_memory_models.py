"""Models that live in this process are converted as files are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgekit
from edgekit.core.errors import InputError, Unsupported, UsageError
from edgekit.inspect import inspect


def proto(batch: str | int = 1, names: str = "") -> onnx.ModelProto:
    """A picture through one convolution, one mean and one layer: four classes."""
    random = np.random.RandomState(0)
    weights = {"w": random.randn(4, 3, 3, 3).astype(np.float32), "v": random.randn(4, 4).astype(np.float32)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("GlobalAveragePool", ["a"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("MatMul", ["c", "v"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 24, 24])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 4])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if names:
        helper.set_model_props(model, {"names": names})
    return model


def test_an_onnx_model_in_memory_becomes_an_artifact_like_its_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(proto().SerializeToString(deterministic=True))
    of_file = edgekit.convert(tmp_path / "net.onnx", precision="fp32", output=tmp_path / "a")
    in_memory = edgekit.convert(proto(), name="net", precision="fp32", output=tmp_path / "b")
    assert in_memory.path.name == of_file.path.name
    assert in_memory.manifest.source.sha256 == of_file.manifest.source.sha256
    assert in_memory.manifest.files == of_file.manifest.files
    with edgekit.load(in_memory.path) as session:
        assert session.run({"x": np.zeros((1, 3, 24, 24), np.float32)})["y"].shape == (1, 4)


def test_shapes_of_a_model_in_memory_are_asked_for_by_name(tmp_path: Path) -> None:
    model = proto()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "width"
    with pytest.raises(InputError, match=r"'x'.*height") as caught:
        edgekit.convert(model, output=tmp_path)
    assert "x=1x3x" in caught.value.hint
    made = edgekit.convert(model, input_shapes={"x": (1, 3, 40, 24)}, precision="fp32", output=tmp_path)
    assert made.manifest.inputs[0].source.shape == (1, 3, 40, 24)


@pytest.mark.parametrize("thing", [object(), 3, None, {"x": 1}, np.zeros(3)], ids=lambda thing: type(thing).__name__)
def test_what_is_no_model_is_named_by_its_type(thing: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{type(thing).__name__} is no model that edgekit reads") as caught:
        edgekit.convert(thing, output=tmp_path)
    assert "onnx.ModelProto" in caught.value.hint


def test_no_framework_is_imported_to_find_out_what_a_model_is(tmp_path: Path) -> None:
    before = set(sys.modules)
    edgekit.convert(proto(), precision="fp32", output=tmp_path)
    assert not {"torch", "sklearn", "tensorflow"} & (set(sys.modules) - before)


def module() -> Any:
    torch = pytest.importorskip("torch", reason="PyTorch models need PyTorch")
    pytest.importorskip("onnxscript", reason="PyTorch's exporter needs onnxscript")
    torch.manual_seed(0)
    nn = torch.nn
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))


def answers(model: Any, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import torch

    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(x)).numpy())


@pytest.mark.parametrize("kind", ["example", "shapes", "program"])
def test_a_pytorch_module_or_program_is_converted_where_it_lives(kind: str, tmp_path: Path) -> None:
    model = module().eval()
    import torch

    x = np.random.default_rng(1).random((1, 3, 24, 24), np.float32)
    if kind == "program":
        made = edgekit.convert(torch.export.export(model, (torch.from_numpy(x),)), precision="fp32", output=tmp_path)
    elif kind == "shapes":
        made = edgekit.convert(model, input_shapes={"x": (1, 3, 24, 24)}, precision="fp32", output=tmp_path)
    else:
        made = edgekit.convert(model, example_inputs=(torch.from_numpy(x),), precision="fp32", output=tmp_path, name="tiny")
        assert made.path.name.startswith("tiny.")
    with edgekit.load(made.path) as session:
        found = session.run({session.inputs[0].name: x})[session.outputs[0].name]
    np.testing.assert_allclose(found, answers(model, x), rtol=1e-4, atol=1e-5)


def test_a_module_without_shapes_is_asked_for_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not say the shapes of its inputs") as caught:
        edgekit.convert(module(), output=tmp_path)
    assert "example_inputs" in caught.value.hint


def test_a_fitted_estimator_knows_how_many_features_it_reads(tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx", reason="scikit-learn models need skl2onnx")
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn models need scikit-learn")
    rows = np.random.default_rng(0).random((40, 3), np.float32)
    made = edgekit.convert(linear.LinearRegression().fit(rows, rows.sum(1)), precision="fp32", output=tmp_path)
    with edgekit.load(made.path) as session:
        found = session.run({"features": rows[:1]})[session.outputs[0].name]
    np.testing.assert_allclose(found.ravel(), rows[0].sum(), rtol=1e-4)


def test_classes_get_the_names_that_the_exporter_wrote_down(tmp_path: Path) -> None:
    made = edgekit.convert(proto(names="{0: 'cat', 1: 'dog', 2: 'owl', 3: 'bee  hive'}"), precision="fp32", output=tmp_path)
    assert made.manifest.postprocess is not None
    assert made.manifest.postprocess.labels == ("cat", "dog", "owl", "bee hive")


@pytest.mark.parametrize(
    "names",
    [
        "{0: 'cat'}",
        "{0: 'cat', 2: 'dog', 3: 'owl', 4: 'bee'}",
        "__import__('os').abort()",
        "[" * 9000,
        "{0:" * 3000,
        "'" + "x" * 70000 + "'",
        "{[]: 1}",
        "3",
    ],
    ids=["too few", "a gap", "code", "nesting", "more nesting", "long", "unhashable", "a number"],
)
def test_names_that_are_none_change_nothing(names: str, tmp_path: Path) -> None:
    made = edgekit.convert(proto(names=names), precision="fp32", output=tmp_path)
    assert made.manifest.postprocess is not None
    assert made.manifest.postprocess.labels == ("class 0", "class 1", "class 2", "class 3")


def test_a_program_of_pytorch_is_inspected_as_the_graph_that_conversion_starts_from(tmp_path: Path) -> None:
    model = module().eval()
    import torch

    torch.export.save(torch.export.export(model, (torch.zeros(1, 3, 24, 24),)), tmp_path / "net.pt2")
    found = inspect(tmp_path / "net.pt2", target="rpi5")
    assert found.cost.macs > 3 * 4 * 9 * 22 * 22 - 1
    assert found.inputs[0].shape == (1, 3, 24, 24)
    assert found.ranking


def test_a_file_that_no_importer_reads_is_refused_by_inspect_as_by_convert(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(Unsupported, match="a GGUF language model"):
        inspect(tmp_path / "model.gguf")
