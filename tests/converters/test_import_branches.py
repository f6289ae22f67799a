"""Choices between branches: made at conversion where shapes decide them, refused by name where an input does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.importers.base import Imported
from edgekit.converters.importers.onnx.branches import DEEPEST
from edgekit.converters.importers.onnx.file import load
from edgekit.core.errors import InputError, Unsupported
from edgekit.runtimes.onnxruntime import execute

SQUEEZE = """
<ir_version: 8, opset_import: ["" : {opset}]>
g (float[N, C] x) => (float[K] y)
<int64 one = {{1}}, int64[1] axis = {{1}}>
{{
  h = Relu(x)
  shape = Shape(h)
  channels = Gather<axis = 0>(shape, one)
  single = Equal(channels, one)
  y = If(single) <
    then_branch = t () => (float[K] r) {{ a = Neg(h)  r = Squeeze(a, axis) }},
    else_branch = e () => (float[K] r) <float[1] half = {{0.5}}> {{ a = Mul(h, half)  r = Flatten<axis = 0>(a) }}
  >
}}
"""
TWICE = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[N, C] x) => (float z)
<int64 two = {2}, int64[1] two_axes = {2}, float weight = {3}>
{
  count = Size(x)
  large = Greater(count, two)
  y = If(large) <
    then_branch = t () => (float r) {
      s = Shape(x)  rank = Size(s)  flat = Equal(rank, two)
      r = If(flat) <
        then_branch = tt () => (float q) <float weight = {10}> { a = ReduceSum<keepdims = 0>(x)  q = Mul(a, weight) },
        else_branch = te () => (float q) { a = ReduceMax<keepdims = 0>(x)  q = Identity(a) }
      >
    },
    else_branch = e () => (float r) { a = ReduceMin<keepdims = 0>(x)  r = Mul(a, weight) }
  >
  shape = Shape(y)
  none = Size(shape)
  zero = Sub(two, two)
  scalar = Equal(none, zero)
  z = If(scalar) <
    then_branch = a () => (float r) { a = Exp(y)  r = Neg(a) },
    else_branch = b () => (float r) { r = Identity(y) }
  >
}
"""


def imported(folder: Path, text: str, **shapes: tuple[int, ...]) -> tuple[Imported, onnx.ModelProto]:
    model = onnx.parser.parse_model(text)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return load(folder / "model.onnx", input_shapes=shapes), model


def ensure_same(found: Imported, model: onnx.ModelProto, x: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    right = execute(model.SerializeToString())({"x": x})
    for name, value in execute(to_bytes(found.graph))({"x": x}).items():
        np.testing.assert_allclose(value, right[name], rtol=1e-6)


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_a_squeeze_asks_of_a_size_is_answered(tmp_path: Path, opset: int, channels: int) -> None:
    found, model = imported(tmp_path, SQUEEZE.format(opset=opset), x=(4, channels))
    assert {node.op for node in found.graph.nodes} == (
        {"Relu", "Neg", "Squeeze"} if channels == 1 else {"Relu", "Mul", "Flatten"}
    ) | {"Identity"}
    assert "1 choices between branches were made: shapes decide them" in found.notes
    ensure_same(found, model, np.linspace(-1, 1, 4 * channels, dtype=np.float32).reshape(4, channels))


@given(rows=st.integers(1, 4), columns=st.integers(1, 4))
def test_choices_within_and_behind_choices_are_made_in_turn(
    tmp_path_factory: pytest.TempPathFactory, rows: int, columns: int
) -> None:
    """Names are used again in every branch, and one hides a constant of the graph around it."""
    found, model = imported(tmp_path_factory.mktemp("twice"), TWICE, x=(rows, columns))
    assert not any(node.op == "If" for node in found.graph.nodes)
    ensure_same(found, model, np.linspace(-0.1, 0.2, rows * columns, dtype=np.float32).reshape(rows, columns))


def test_what_an_input_decides_is_refused_by_name(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[1, 4] x) => (float[1, 4] y) <float zero = {0}>
    {
      sum = ReduceSum<keepdims = 0>(x)
      positive = Greater(sum, zero)
      y = If(positive) <
        then_branch = t () => (float[1, 4] r) { r = Neg(x) },
        else_branch = e () => (float[1, 4] r) { r = Abs(x) }
      >
    }
    """
    with pytest.raises(Unsupported, match="decides at run time what is computed: its condition 'positive' depends on an input"):
        imported(tmp_path, text)


def choice(then: str, outer: str = "") -> str:
    return f"""
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[1, 4] x) => (float[1, 4] y) <bool yes = {{1}}>
    {{
      {outer}
      y = If(yes) <then_branch = t () => {then}, else_branch = e () => (float[1, 4] r) {{ r = Abs(x) }}>
    }}
    """


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ("(float[1, 4] r, float[1, 4] s) { r = Neg(x)  s = Abs(x) }", "has no then_branch that gives its 1 outputs"),
        ("(float[1, 4] r) { r = Neg(nowhere) }", "reads 'nowhere', which nothing in the model makes"),
        ("(float[1, 4] r) { r = Neg(later) }", ": a cycle"),
        ("(float[1, 4] r) { a = Neg(x)  a = Abs(x)  r = Exp(a) }", "which is there already"),
    ],
)
def test_a_damaged_branch_is_named(tmp_path: Path, then: str, told: str) -> None:
    text = choice(then)
    if "later" in then:
        text = text.replace("float[1, 4] y)", "float[1, 4] z)").replace(
            "      y = If", "      z = Neg(y)\n      later = Exp(y)\n      y = If"
        )
    with pytest.raises(InputError, match=told):
        imported(tmp_path, text)


def test_an_operator_that_nobody_knows_is_refused_only_in_the_branch_that_is_taken(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="Frobnicate"):
        imported(tmp_path, choice("(float[1, 4] r) { r = Frobnicate(x) }"))
    found, _ = imported(tmp_path, choice("(float[1, 4] r) { r = Frobnicate(x) }").replace("yes = {1}", "yes = {0}"))
    assert {node.op for node in found.graph.nodes} == {"Abs", "Identity"}


def test_weights_of_a_branch_are_read_from_the_models_folder_only(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(choice("(float[1, 4] r) <float[1, 4] w = {1, 2, 3, 4}> { r = Add(x, w) }"))
    (weights,) = model.graph.node[-1].attribute[0].g.initializer
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "../weights.bin"
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="external data outside its folder"):
        load(tmp_path / "model.onnx")
    entry.value = "weights.bin"
    (tmp_path / "weights.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    graph = load(tmp_path / "model.onnx").graph
    np.testing.assert_array_equal(graph.constants["y/w"], [[0, 1, 2, 3]])


def test_choices_deeper_than_any_exporter_makes_are_refused(tmp_path: Path) -> None:
    steps = "".join(
        f"  y{i + 1} = If(c{i}) <then_branch = t () => (float[1, 4] r) {{ r = Neg(y{i}) }}, else_branch = e () => (float[1, 4] r) {{ r = Abs(y{i}) }}>\n  s{i} = Size(y{i + 1})\n  c{i + 1} = Greater(s{i}, two)\n"
        for i in range(DEEPEST + 1)
    )
    text = f'<ir_version: 8, opset_import: ["" : 17]>\ng (float[1, 4] y0) => (float[1, 4] y{DEEPEST + 1}) <int64 two = {{2}}, bool c0 = {{1}}>\n{{\n{steps}}}'
    with pytest.raises(Unsupported, match=f"more than {DEEPEST} deep"):
        imported(tmp_path, text)
