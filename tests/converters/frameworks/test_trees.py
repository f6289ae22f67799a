"""Boosted trees in their own files become graphs that answer as XGBoost and LightGBM do."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.converters.importers.trees import kind_of, load
from edgekit.core.errors import InputError, MissingDependency, NotFound


def test_no_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no model file"):
        load(tmp_path / "none.ubj")


@pytest.mark.parametrize("name", ["m.txt", "m.ubj", "m.json"])
def test_what_holds_no_trees_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"anything else\n")
    with pytest.raises(InputError, match="holds no boosted trees"):
        load(tmp_path / name)


@pytest.mark.parametrize(
    ("start", "kind"), [(b'{"learner":{}}', "xgboost"), (b"{L\x00", "xgboost"), (b"tree\r\nversion=v4", "lightgbm")]
)
def test_a_file_is_told_by_how_it_begins(start: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(start)
    assert kind_of(tmp_path / "m") == kind


@pytest.mark.parametrize(("library", "start"), [("xgboost", b"{}"), ("lightgbm", b"tree\n")])
def test_without_its_library_the_command_that_installs_it_is_named(library: str, start: bytes, tmp_path: Path) -> None:
    if importlib.util.find_spec(library) is not None:
        pytest.skip(f"{library} is installed here")
    (tmp_path / "m").write_bytes(start)
    with pytest.raises(MissingDependency, match=f"{library} is not installed") as caught:
        load(tmp_path / "m")
    assert caught.value.hint == 'pip install "edgekit[trees]"'


def data(kind: str) -> tuple[Any, Any]:
    rows = (np.random.default_rng(0).random((300, 5)) * [1, 10, 100, 1000, 1]).astype(np.float32)
    answers = {"two": rows[:, 0] + rows[:, 1] / 10 > 1, "three": (rows[:, 0] * 3).astype(int), "value": rows @ np.arange(5.0)}
    return rows, np.asarray(answers[kind]).astype(float)


def check(path: Path, framework: str, kind: str) -> None:
    from edgekit.formats import import_model

    found = import_model(path, {})
    assert found.source.framework == framework
    assert found.graph.inputs[0].shape == (1, 5)
    assert [spec.shape for spec in found.graph.outputs] == {"two": [(1,), (1, 2)], "three": [(1,), (1, 3)], "value": [(1, 1)]}[
        kind
    ]
    assert len(found.answers) == 32
    assert len({float(list(told.values())[-1].ravel()[0]) for _, told in found.answers}) > 5
    with pytest.raises(InputError, match="the trees have one input"):
        load(path, input_shapes={"features": (1, 6)})


@pytest.mark.parametrize("suffix", [".json", ".ubj"])
@pytest.mark.parametrize(
    ("kind", "objective"), [("two", "binary:logistic"), ("three", "multi:softprob"), ("value", "reg:squarederror")]
)
def test_xgboost_answers_the_same_as_a_graph(kind: str, objective: str, suffix: str, tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost", reason="the extra trees is not installed")
    pytest.importorskip("onnxmltools", reason="the extra trees is not installed")
    rows, answers = data(kind)
    named = xgboost.DMatrix(rows, label=answers, feature_names=["age", "height", "weight", "income", "x"])
    settings = {"objective": objective, "max_depth": 4, **({"num_class": 3} if kind == "three" else {})}
    xgboost.train(settings, named, 20).save_model(tmp_path / f"m{suffix}")
    check(tmp_path / f"m{suffix}", "xgboost", kind)


@pytest.mark.parametrize(("kind", "objective"), [("two", "binary"), ("three", "multiclass"), ("value", "regression")])
def test_lightgbm_answers_the_same_as_a_graph(kind: str, objective: str, tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="the extra trees is not installed")
    pytest.importorskip("onnxmltools", reason="the extra trees is not installed")
    rows, answers = data(kind)
    settings = {"objective": objective, "verbose": -1, "min_data_in_leaf": 5, **({"num_class": 3} if kind == "three" else {})}
    lightgbm.train(settings, lightgbm.Dataset(rows, label=answers), 20).save_model(tmp_path / "m.txt")
    check(tmp_path / "m.txt", "lightgbm", kind)


def test_a_damaged_file_of_trees_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("xgboost", reason="the extra trees is not installed")
    pytest.importorskip("onnxmltools", reason="the extra trees is not installed")
    (tmp_path / "m.json").write_text('{"learner": {"cut": ')
    with pytest.raises(InputError, match="XGBoost could not read"):
        load(tmp_path / "m.json")


def test_trees_in_an_old_operator_set_are_brought_up_to_date(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    from edgekit.converters.importers.onnx import file as onnx_file

    leaves: dict[str, Any] = {
        "nodes_falsenodeids": [2, 0, 0], "nodes_truenodeids": [1, 0, 0], "nodes_featureids": [0, 0, 0], "nodes_nodeids": [0, 1, 2],
        "nodes_treeids": [0, 0, 0], "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "nodes_values": [0.5, 0.0, 0.0],
        "target_ids": [0, 0], "target_nodeids": [1, 2], "target_treeids": [0, 0], "target_weights": [-1.0, 2.0],
    }  # fmt: skip
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], name="forest", domain="ai.onnx.ml", n_targets=1, **leaves)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in (("x", 2), ("y", 1)))
    sets = [helper.make_opsetid("ai.onnx.ml", 1), helper.make_opsetid("", 9)]
    model = helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=sets, ir_version=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert [node.op for node in onnx_file.load(tmp_path / "m.onnx").graph.nodes] == ["TreeEnsembleRegressor"]


def test_a_classifier_behind_a_scaler_gets_its_two_shapes(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    from edgekit.converters.importers.onnx import file as onnx_file

    weights: dict[str, Any] = {"coefficients": [1.0, 2.0, -1.0, -2.0], "intercepts": [0.0, 0.0], "classlabels_ints": [0, 1]}
    nodes = [
        helper.make_node("Scaler", ["x"], ["v"], name="scale", domain="ai.onnx.ml", offset=[0.0] * 2, scale=[1.0] * 2),
        helper.make_node("LinearClassifier", ["v"], ["label", "p"], name="line", domain="ai.onnx.ml", **weights),
    ]
    kinds = (("x", TensorProto.FLOAT, [None, 2]), ("label", TensorProto.INT64, [None]), ("p", TensorProto.FLOAT, [None, 2]))
    x, label, p = (helper.make_tensor_value_info(*kind) for kind in kinds)
    sets = [helper.make_opsetid("ai.onnx.ml", 1), helper.make_opsetid("", 17)]
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [label, p]), opset_imports=sets, ir_version=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    found = onnx_file.load(tmp_path / "m.onnx", input_shapes={"x": (1, 2)}).graph
    assert {name: spec.shape for name, spec in found.specs.items() if name in ("v", "label", "p")} == {
        "v": (1, 2),
        "label": (1,),
        "p": (1, 2),
    }
