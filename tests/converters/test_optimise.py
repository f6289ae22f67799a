"""Each pass: what it removes, what it must leave alone, and that the outputs stay the same on random graphs."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import from_model, to_bytes
from edgekit.converters.optimise import PASSES, optimise
from edgekit.converters.optimise.drop_dead_code import drop_dead_code
from edgekit.converters.optimise.drop_identities import drop_identities
from edgekit.converters.optimise.fold_batch_norm import fold_batch_norm, fold_input_norm
from edgekit.converters.optimise.fold_constants import fold_constants
from edgekit.runtimes.onnxruntime import execute

SHAPE = (1, 4, 5, 6)


def graph_of(nodes: list[Any], constants: dict[str, np.ndarray] | None = None, outputs: tuple[str, ...] = ("y",)) -> Graph:
    """A graph with the input x of SHAPE; shapes are inferred."""
    proto = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        initializer=[numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return from_model(onnx.shape_inference.infer_shapes(model, data_prop=True))


def answers(graph: Graph) -> dict[str, np.ndarray]:
    feed = {"x": np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)}
    return dict(execute(to_bytes(graph), optimisation="none")(feed))


def assert_same_answers(before: Graph, after: Graph) -> None:
    assert [s.name for s in before.outputs] == [s.name for s in after.outputs]
    expected, found = answers(before), answers(after)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"{op}_{outputs}", **attributes)


def test_constant_arithmetic_is_folded() -> None:
    graph = graph_of([node("Add", "a b", "c"), node("Mul", "x c", "y")], {"a": np.float32([1]), "b": np.float32([2])})
    folded = fold_constants(graph).graph
    assert ops(folded) == ["Mul"]
    assert folded.constants["c"].tolist() == [3]
    assert_same_answers(graph, folded)


def test_elements_picked_from_a_long_constant_are_folded() -> None:
    """What newer BERTs are exported with: fewer places than a row has elements, of which there are more than 32."""
    table, places = np.arange(2.0 * 40, dtype=np.float32).reshape(2, 40), np.int64([[0, -1, 7], [39, 1, 2]])
    graph = graph_of(
        [node("GatherElements", "t i", "g", axis=1), node("ReduceSum", "g", "s"), node("Mul", "x s", "y")],
        {"t": table, "i": places},
    )
    folded = fold_constants(graph).graph
    assert ops(folded) == ["Mul"]
    assert_same_answers(graph, folded)


@pytest.mark.parametrize("op", ["Gather", "GatherElements"])
def test_a_lookup_that_finds_the_same_everywhere_is_a_constant(op: str) -> None:
    nodes = [
        node("ArgMax", "x", "i", axis=0),
        node(op, "t i", "g"),
        node("Cast", "g", "f", to=1),
        node("ReduceMax", "f", "m", keepdims=0),
        node("Add", "x m", "y"),
    ]
    graph = graph_of(nodes, {"t": np.full((3, 4, 5, 6), 7, np.int64)})
    found = optimise(graph)
    assert ops(found) == ["Add"]
    assert_same_answers(graph, found)


def test_a_shape_chain_is_folded() -> None:
    graph = graph_of(
        [node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Cast", "n", "f", to=1), node("Mul", "x f", "y")],
        {"zero": np.int64(1).reshape(())},
    )
    assert ops(fold_constants(graph).graph) == ["Mul"]


def test_randomness_is_not_folded() -> None:
    graph = graph_of([node("RandomNormal", "", "r", shape=[1], dtype=1), node("Add", "x r", "y")])
    assert fold_constants(graph).changes == 0


def test_a_result_larger_than_the_limit_stays_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["edgekit.converters.optimise.fold_constants"], "FOLD_LIMIT_BYTES", 8)
    graph = graph_of(
        [node("Expand", "a shape", "c"), node("Add", "x c", "y")], {"a": np.float32([1]), "shape": np.int64([1, 4, 5, 6])}
    )
    assert fold_constants(graph).changes == 0


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([node("Mul", "big big", "n"), node("Range", "zero n one", "huge")], id="Range"),
        pytest.param([node("Mul", "many many", "n"), node("Tile", "tile n", "t"), node("Cast", "t", "huge", to=7)], id="Tile"),
        pytest.param([node("Mul", "many many", "n"), node("ConstantOfShape", "n", "huge")], id="ConstantOfShape"),
        pytest.param([node("Mul", "many many", "n"), node("Expand", "tile n", "huge")], id="Expand"),
    ],
)
def test_what_would_fill_the_memory_is_not_computed_even_when_its_shape_is_not_known(nodes: list[Any]) -> None:
    constants = {
        "big": np.int64(10**7),
        "zero": np.int64(0),
        "one": np.int64(1),
        "many": np.int64([2**31, 1]),
        "tile": np.float32([[1, 1]]),
    }
    graph = graph_of([*nodes, node("ReduceMax", "huge", "m", keepdims=0), node("Relu", "x", "y")], constants, ("y", "m"))
    graph = replace(graph, specs={name: spec for name, spec in graph.specs.items() if name not in ("huge", "t", "m")})
    assert "huge" in fold_constants(graph).graph.producers


def test_a_large_weight_that_only_changes_its_type_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["edgekit.converters.optimise.fold_constants"], "FOLD_LIMIT_BYTES", 8)
    graph = graph_of([node("Cast", "w", "c", to=1), node("MatMul", "x c", "y")], {"w": np.ones((6, 3), np.float16)})
    assert ops(fold_constants(graph).graph) == ["MatMul"]


def test_a_constant_that_becomes_infinite_is_folded_without_a_warning() -> None:
    graph = graph_of([node("Log", "a", "c"), node("Max", "x c", "y")], {"a": np.float32([0])})
    assert fold_constants(graph).graph.constants["c"].tolist() == [-np.inf]


def test_identities_go_and_the_output_keeps_its_name() -> None:
    graph = graph_of([node("Identity", "x", "a"), node("Relu", "a", "b"), node("Identity", "b", "y")])
    cleaned = drop_identities(graph).graph
    assert [(n.op, n.inputs, n.outputs) for n in cleaned.nodes] == [("Relu", ("x",), ("y",))]


@pytest.mark.parametrize(
    ("operation", "constants"),
    [
        pytest.param(node("Cast", "x", "a", to=1), {}, id="a cast to the same type"),
        pytest.param(node("Transpose", "x", "a", perm=[0, 1, 2, 3]), {}, id="a transpose to the same order"),
        pytest.param(node("Reshape", "x s", "a"), {"s": np.int64(SHAPE)}, id="a reshape to the same shape"),
        pytest.param(node("Pad", "x p", "a"), {"p": np.zeros(8, np.int64)}, id="a pad by nothing"),
        pytest.param(node("Slice", "x b e", "a"), {"b": np.int64([0]), "e": np.int64([9])}, id="a slice of everything"),
        pytest.param(node("Concat", "x", "a", axis=1), {}, id="a concat of one"),
        pytest.param(node("Dropout", "x", "a"), {}, id="a dropout"),
        pytest.param(node("Add", "x c", "a"), {"c": np.zeros((4, 1, 1), np.float32)}, id="a sum with zeros"),
        pytest.param(node("Mul", "c x", "a"), {"c": np.ones(6, np.float32)}, id="a product with ones"),
        pytest.param(node("Where", "c d x", "a"), {"c": np.zeros(1, bool), "d": np.float32(3)}, id="a choice already made"),
        pytest.param(node("Gather", "x i", "a", axis=2), {"i": np.arange(SHAPE[2])}, id="a gather of all in order"),
        pytest.param(node("Gather", "x i", "a", axis=0), {"i": np.int64([-1])}, id="a gather of the only one"),
    ],
)
def test_what_changes_nothing_goes(operation: Any, constants: dict[str, np.ndarray]) -> None:
    graph = graph_of([operation, node("Relu", "a", "y")], constants)
    cleaned = drop_identities(graph).graph
    assert ops(cleaned) == ["Relu"]
    assert_same_answers(graph, cleaned)


@pytest.mark.parametrize(
    ("operation", "constants"),
    [
        pytest.param(
            node("Slice", "x b e axes st", "a"),
            {"b": np.int64([-1]), "e": np.int64([-99]), "axes": np.int64([2]), "st": np.int64([-1])},
            id="a slice that reverses",
        ),
        pytest.param(node("Gather", "x i", "a", axis=2), {"i": np.arange(SHAPE[2])[::-1]}, id="a gather that reverses"),
        pytest.param(node("Pad", "x p", "a"), {"p": np.int64([0, 0, 1, 0, 0, 0, -1, 0])}, id="a pad that shifts"),
        pytest.param(node("Add", "x c", "a"), {"c": np.float32([0, 0, 0, 0, 0, 1])}, id="a sum with few zeros"),
        pytest.param(node("Mul", "x c", "a"), {"c": np.ones((2, 1, 1, 1), np.float32)}, id="a product that spreads"),
        pytest.param(
            node("Where", "c d x", "a"), {"c": np.bool_([0, 0, 0, 0, 0, 1]), "d": np.float32(3)}, id="a choice here and there"
        ),
    ],
)
def test_what_only_looks_like_nothing_stays(operation: Any, constants: dict[str, np.ndarray]) -> None:
    graph = graph_of([operation, node("Relu", "a", "y")], constants)
    assert_same_answers(graph, drop_identities(graph).graph)
    assert drop_identities(graph).changes == 0


def test_a_dropout_that_drops_stays() -> None:
    graph = graph_of([node("Dropout", "x r t", "a"), node("Relu", "a", "y")], {"r": np.float32(0.5), "t": np.bool_(True)})
    assert drop_identities(graph).changes == 0


def test_a_dropout_whose_mask_is_an_output_stays() -> None:
    graph = graph_of([node("Dropout", "x", "a m"), node("Relu", "a", "y"), node("Cast", "m", "z", to=1)], outputs=("y", "z"))
    assert_same_answers(graph, optimise(graph))
    masked = replace(graph, outputs=(*graph.outputs, graph.specs["m"]))
    assert "m" in optimise(masked).producers


def test_an_operator_of_another_domain_is_not_taken_for_a_standard_one() -> None:
    graph = graph_of([node("Identity", "x", "a"), node("Relu", "a", "y")])
    custom = graph.with_nodes([replace(graph.nodes[0], domain="com.example"), graph.nodes[1]])
    assert drop_identities(custom).changes == 0


def test_thousands_of_renamed_outputs_take_one_pass() -> None:
    inner = [node("Relu", "x", f"a{i}") for i in range(1200)]
    outer = [node("Identity", f"a{i}", f"y{i}") for i in range(1200)]
    graph = graph_of(inner + outer, outputs=tuple(f"y{i}" for i in range(1200)))
    cleaned = drop_identities(graph)
    assert cleaned.changes == 1200
    assert [n.output for n in cleaned.graph.nodes] == [f"y{i}" for i in range(1200)]


def test_an_output_that_is_the_input_stays_written() -> None:
    graph = graph_of([node("Identity", "x", "y")])
    assert_same_answers(graph, optimise(graph))


def test_two_outputs_of_one_tensor_both_stay() -> None:
    graph = graph_of([node("Relu", "x", "a"), node("Identity", "a", "y"), node("Identity", "a", "z")], outputs=("y", "z"))
    assert_same_answers(graph, optimise(graph))


def test_dead_nodes_and_constants_go() -> None:
    graph = graph_of([node("Relu", "x", "y"), node("Add", "x w", "unused")], {"w": np.float32([1])})
    cleaned = drop_dead_code(graph).graph
    assert ops(cleaned) == ["Relu"]
    assert not cleaned.constants
    assert "unused" not in cleaned.specs


def test_an_absent_input_keeps_no_dead_node_alive() -> None:
    graph = graph_of(
        [node("Relu", "x", "y"), node("Clip", "y", "z"), node("Dropout", "x", "d")],
        outputs=("z",),
    )
    clip, dropout = graph.nodes[1], graph.nodes[2]
    nodes = [graph.nodes[0], replace(dropout, outputs=("d", "")), replace(clip, inputs=("y", "", ""))]
    assert ops(drop_dead_code(graph.with_nodes(nodes)).graph) == ["Relu", "Clip"]


def norm_constants(channels: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {name: rng.uniform(0.5, 2, channels).astype(np.float32) for name in ("gamma", "beta", "mean", "var")}


@pytest.mark.parametrize(
    ("operation", "weight"),
    [
        pytest.param(node("Conv", "x w", "a"), (7, 4, 3, 3), id="conv"),
        pytest.param(node("Conv", "x w", "a", group=4), (8, 1, 3, 3), id="depthwise conv"),
        pytest.param(node("ConvTranspose", "x w", "a"), (4, 3, 2, 2), id="transposed conv"),
        pytest.param(node("ConvTranspose", "x w", "a", group=2), (4, 3, 2, 2), id="grouped transposed conv"),
    ],
)
def test_batch_norm_folds_into_the_convolution_before_it(operation: Any, weight: tuple[int, ...]) -> None:
    groups = next((a.i for a in operation.attribute if a.name == "group"), 1)
    channels = weight[0] if operation.op_type == "Conv" else weight[1] * groups
    constants = {"w": np.random.default_rng(3).standard_normal(weight).astype(np.float32), **norm_constants(channels)}
    graph = graph_of([operation, node("BatchNormalization", "a gamma beta mean var", "y")], constants)
    folded = fold_batch_norm(graph).graph
    assert ops(folded) == [operation.op_type]
    assert_same_answers(graph, folded)


def test_batch_norm_stays_when_the_convolution_is_read_elsewhere() -> None:
    constants = {"w": np.ones((4, 4, 1, 1), np.float32), **norm_constants(4)}
    graph = graph_of(
        [node("Conv", "x w", "a"), node("BatchNormalization", "a gamma beta mean var", "b"), node("Add", "a b", "y")], constants
    )
    assert fold_batch_norm(graph).changes == 0


LINEAR_AFTER = [
    pytest.param(node("Mul", "a k", "y"), (1, 7, 1, 1), id="times a factor per channel"),
    pytest.param(node("Mul", "k a", "y"), (), id="times one factor, which stands first"),
    pytest.param(node("Div", "a k", "y"), (7, 1, 1), id="divided by a number per channel"),
    pytest.param(node("Add", "k a", "y"), (1, 7, 1, 1), id="plus a number per channel"),
    pytest.param(node("Sub", "a k", "y"), (7, 1, 1), id="minus a number per channel"),
    pytest.param(node("Sub", "k a", "y"), (1,), id="taken from a number"),
]


@pytest.mark.parametrize(("operation", "shape"), LINEAR_AFTER)
def test_what_scales_or_shifts_a_convolution_goes_into_its_weights(operation: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    constants = {
        "w": rng.standard_normal((7, 4, 3, 3)).astype(np.float32),
        "b": rng.standard_normal(7).astype(np.float32),
        "k": rng.uniform(0.5, 2, shape).astype(np.float32),
    }
    graph = graph_of([node("Conv", "x w b", "a"), operation], constants)
    folded = fold_batch_norm(graph)
    assert ops(folded.graph) == ["Conv"]
    assert_same_answers(graph, folded.graph)


@pytest.mark.parametrize("turned", [0, 1])
def test_a_sum_after_a_matrix_product_goes_into_its_bias(turned: int) -> None:
    constants = {"w": np.random.default_rng(4).standard_normal((5, 120) if turned else (120, 5)).astype(np.float32)}
    constants |= {"k": np.float32([1, 2, 3, 4, 5])}
    graph = graph_of([node("Flatten", "x", "f"), node("Gemm", "f w", "a", transB=turned), node("Add", "a k", "y")], constants)
    folded = fold_batch_norm(graph).graph
    assert ops(folded) == ["Flatten", "Gemm"]
    assert_same_answers(graph, folded)


@pytest.mark.parametrize(
    ("operation", "shape"),
    [
        pytest.param(node("Div", "k a", "y"), (1,), id="a number divided by it"),
        pytest.param(node("Add", "a k", "y"), (5, 6), id="a number per place"),
        pytest.param(node("Mul", "a k", "y"), (2, 7, 5, 6), id="a factor that makes the batch larger"),
        pytest.param(node("Pow", "a k", "y"), (1,), id="a power"),
    ],
)
def test_what_is_no_line_per_channel_stays_after_a_convolution(operation: Any, shape: tuple[int, ...]) -> None:
    constants = {"w": np.ones((7, 4, 1, 1), np.float32), "k": np.full(shape, 2, np.float32)}
    graph = graph_of([node("Conv", "x w", "a"), operation], constants)
    assert fold_batch_norm(graph).changes == 0


@pytest.mark.parametrize(
    ("first", "second", "weight"),
    [
        pytest.param(node("Mul", "x k", "a"), node("Conv", "a w", "y", pads=[1, 1, 1, 1]), (6, 4, 3, 3), id="a factor, padded"),
        pytest.param(node("Sub", "x k", "a"), node("Conv", "a w b", "y"), (6, 4, 3, 3), id="a shift, not padded"),
        pytest.param(node("Sub", "k x", "a"), node("Conv", "a w b", "y", group=2), (6, 2, 2, 2), id="a shift before groups"),
        pytest.param(
            node("Div", "x k", "a"), node("Conv", "a w", "y", group=4, auto_pad="SAME_UPPER"), (8, 1, 3, 3), id="depthwise"
        ),
    ],
)
def test_what_scales_or_shifts_the_input_of_a_convolution_goes_into_its_weights(
    first: Any, second: Any, weight: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(5)
    constants = {"w": rng.standard_normal(weight).astype(np.float32), "b": rng.standard_normal(weight[0]).astype(np.float32)}
    constants |= {"k": rng.uniform(0.5, 2, (1, 4, 1, 1)).astype(np.float32)}
    graph = graph_of([first, second], constants)
    folded = fold_input_norm(graph).graph
    assert ops(folded) == ["Conv"]
    assert_same_answers(graph, folded)


def test_a_norm_before_a_convolution_folds_where_nothing_is_padded() -> None:
    constants = {"w": np.random.default_rng(6).standard_normal((3, 4, 2, 2)).astype(np.float32), **norm_constants(4)}
    norm = node("BatchNormalization", "x gamma beta mean var", "a")
    graph = graph_of([norm, node("Conv", "a w", "y")], constants)
    assert ops(fold_input_norm(graph).graph) == ["Conv"]
    assert_same_answers(graph, fold_input_norm(graph).graph)
    assert fold_input_norm(graph_of([norm, node("Conv", "a w", "y", pads=[1, 1, 1, 1])], constants)).changes == 0


@pytest.mark.parametrize("turned", [0, 1])
def test_a_norm_before_a_matrix_product_folds(turned: int) -> None:
    constants = {"w": np.random.default_rng(4).standard_normal((5, 120) if turned else (120, 5)).astype(np.float32)}
    constants |= norm_constants(120)
    nodes = [
        node("Flatten", "x", "f"),
        node("BatchNormalization", "f gamma beta mean var", "a"),
        node("Gemm", "a w", "y", transB=turned),
    ]
    graph = graph_of(nodes, constants)
    assert ops(fold_input_norm(graph).graph) == ["Flatten", "Gemm"]
    assert_same_answers(graph, fold_input_norm(graph).graph)


@pytest.mark.parametrize("variance", [-1.0, np.nan], ids=["negative", "not a number"])
def test_a_norm_whose_factor_is_no_number_stays(variance: float) -> None:
    constants = {"w": np.ones((4, 4, 1, 1), np.float32), **norm_constants(4), "var": np.full(4, variance, np.float32)}
    graph = graph_of([node("Conv", "x w", "a"), node("BatchNormalization", "a gamma beta mean var", "y")], constants)
    assert fold_batch_norm(graph).changes == 0


def test_folding_overwrites_no_constant_of_that_name() -> None:
    constants = {"Conv_a/folded_weight": np.ones((4, 4, 1, 1), np.float32), **norm_constants(4)}
    graph = graph_of(
        [
            node("Conv", "x Conv_a/folded_weight", "a"),
            node("BatchNormalization", "a gamma beta mean var", "b"),
            node("Conv", "b Conv_a/folded_weight", "y"),
        ],
        constants,
    )
    assert_same_answers(graph, fold_batch_norm(graph).graph)


UNARY = ("Relu", "Identity", "Sigmoid", "Neg", "Dropout")
BINARY = ("Add", "Mul", "Sub")


@st.composite
def random_graphs(draw: st.DrawFn) -> Graph:
    """Small graphs of elementwise ops, constants, identities, transposes there and back, and convolutions with norms."""
    names, constants, nodes = ["x"], {"k0": np.float32([0.5]), "k1": np.float32([-1.5])}, []
    for index in range(draw(st.integers(1, 10))):
        kind = draw(st.sampled_from(["unary", "binary", "constant", "transpose", "conv"]))
        source, out = draw(st.sampled_from(names)), f"t{index}"
        if kind == "unary":
            nodes.append(node(draw(st.sampled_from(UNARY)), source, out))
        elif kind == "binary":
            nodes.append(node(draw(st.sampled_from(BINARY)), f"{source} {draw(st.sampled_from(names))}", out))
        elif kind == "constant":
            nodes += [node(draw(st.sampled_from(BINARY)), "k0 k1", f"c{index}"), node("Add", f"{source} c{index}", out)]
        elif kind == "transpose":
            nodes += [
                node("Transpose", source, f"p{index}", perm=[0, 2, 3, 1]),
                node("Transpose", f"p{index}", out, perm=[0, 3, 1, 2]),
            ]
        else:
            constants |= {f"w{index}": np.random.default_rng(index).standard_normal((4, 4, 1, 1)).astype(np.float32)}
            constants |= {f"{key}{index}": value for key, value in norm_constants(4).items()}
            norm = f"v{index} gamma{index} beta{index} mean{index} var{index}"
            nodes += [node("Conv", f"{source} w{index}", f"v{index}"), node("BatchNormalization", norm, out)]
        names.append(out)
    outputs = tuple(dict.fromkeys([names[-1], draw(st.sampled_from(names[1:]))]))
    return graph_of(nodes, constants, outputs)


@settings(max_examples=60, deadline=None)
@given(random_graphs())
def test_every_pass_keeps_the_answers_of_random_graphs(graph: Graph) -> None:
    for run in PASSES:
        result = run(graph)
        assert (result.changes == 0) == (result.graph is graph)
        assert_same_answers(graph, result.graph)
    cleaned = optimise(graph)
    assert_same_answers(graph, cleaned)
    assert all(run(cleaned).changes == 0 for run in PASSES)
