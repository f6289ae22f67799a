"""What exporters write in many nodes is said in few, with the same answers; what only looks like it is left alone."""

from __future__ import annotations

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
from edgekit.converters.optimise.fold_pads import fold_pads
from edgekit.converters.optimise.fold_scales import fold_scales
from edgekit.converters.optimise.fuse_gemm import fuse_gemm
from edgekit.converters.optimise.fuse_hard_swish import fuse_hard_swish
from edgekit.converters.optimise.fuse_layer_norm import fuse_layer_norm
from edgekit.converters.optimise.merge_moves import merge_moves
from edgekit.converters.optimise.share_constants import share_constants
from edgekit.runtimes.onnxruntime import execute

SHAPE = (1, 4, 5, 6)
Constants = dict[str, np.ndarray[Any, Any]]


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"{op}_{outputs}", **attributes)


def graph_of(nodes: list[Any], constants: Constants | None = None, outputs: tuple[str, ...] = ("y",), opset: int = 17) -> Graph:
    """A graph with the input x of SHAPE; shapes are inferred."""
    proto = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        initializer=[numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return from_model(onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def picture() -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)


def answers(graph: Graph) -> dict[str, Any]:
    return dict(execute(to_bytes(graph), optimisation="none")({"x": picture()}))


def assert_same_answers(before: Graph, after: Graph, *, tolerance: float = 1e-5) -> None:
    expected, found = answers(before), answers(after)
    assert list(expected) == list(found)
    for name, value in expected.items():
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance * scale)


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def layer_norm(axes: list[int], *, square: str = "Pow", twice: bool = False, opset: int = 17) -> list[Any]:
    """(x - mean) / sqrt(variance + epsilon) -> n, in the spellings that exporters use."""
    old = opset < 18
    mean = [node("ReduceMean", "x", "m", axes=axes)] if old else [node("ReduceMean", "x axes", "m")]
    other = "d2" if twice else "d"
    differences = [node("Sub", "x m", "d"), *([node("Sub", "x m", "d2")] if twice else [])]
    squared = [node("Pow", f"{other} two", "q") if square == "Pow" else node("Mul", f"{other} {other}", "q")]
    variance = [node("ReduceMean", "q", "v", axes=axes)] if old else [node("ReduceMean", "q axes", "v")]
    return [
        *mean,
        *differences,
        *squared,
        *variance,
        node("Add", "v eps", "e"),
        node("Sqrt", "e", "s"),
        node("Div", "d s", "n"),
    ]


NUMBERS: Constants = {"two": np.float32(2), "eps": np.float32(1e-5)}


@pytest.mark.parametrize("axes", [[-1], [2, 3], [-1, -2], [1, 2, 3]], ids=str)
@pytest.mark.parametrize("square", ["Pow", "Mul"])
@pytest.mark.parametrize("twice", [False, True], ids=["one difference", "two differences"])
@pytest.mark.parametrize("opset", [17, 18])
def test_layer_normalisation_written_out_becomes_one_node(axes: list[int], square: str, twice: bool, opset: int) -> None:
    last = sorted(axis % 4 for axis in axes)
    shape = SHAPE[last[0] :]
    nodes = layer_norm(axes, square=square, twice=twice, opset=opset)
    nodes += [node("Mul", "gamma n", "g"), node("Add", "g beta", "y")]
    constants = {**NUMBERS, "gamma": normal(*shape), "beta": normal(*shape)} | ({"axes": np.int64(axes)} if opset > 17 else {})
    graph = graph_of(nodes, constants, opset=opset)
    cleaned = optimise(graph)
    assert ops(cleaned) == ["LayerNormalization"]
    assert_same_answers(graph, cleaned)


def test_layer_normalisation_without_scale_is_one_node_too() -> None:
    graph = graph_of([*layer_norm([-1]), node("Relu", "n", "y")], NUMBERS)
    assert ops(fuse_layer_norm(graph).graph) == ["LayerNormalization", "Relu"]
    assert_same_answers(graph, fuse_layer_norm(graph).graph)


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        pytest.param(layer_norm([1]), NUMBERS, id="over the channels of an image"),
        pytest.param(layer_norm([-1]), {**NUMBERS, "two": np.float32(3)}, id="a cube"),
        pytest.param(layer_norm([-1]), {**NUMBERS, "eps": np.float32(1)}, id="plus one"),
        pytest.param([*layer_norm([-1])[:2], node("Pow", "x two", "q"), *layer_norm([-1])[3:]], NUMBERS, id="the square of x"),
    ],
)
def test_what_only_looks_like_layer_normalisation_stays(nodes: list[Any], constants: Constants) -> None:
    graph = graph_of([*nodes, node("Relu", "n", "y")], constants)
    assert fuse_layer_norm(graph).changes == 0


def test_a_sum_with_another_shape_than_the_normalised_stays_beside_it() -> None:
    graph = graph_of([*layer_norm([-1]), node("Add", "n places", "y")], {**NUMBERS, "places": normal(5, 6)})
    cleaned = optimise(graph)
    assert ops(cleaned) == ["LayerNormalization", "Add"]
    assert_same_answers(graph, cleaned)


CLIP = [node("Add", "x three", "a"), node("Clip", "a zero six", "c")]
BOUNDS: Constants = {"three": np.float32(3), "zero": np.float32(0), "six": np.float32(6), "sixth": np.float32(1 / 6)}


@pytest.mark.parametrize(
    ("nodes", "name"),
    [
        pytest.param([*CLIP, node("Div", "c six", "y")], "HardSigmoid", id="clip / 6"),
        pytest.param([*CLIP, node("Mul", "sixth c", "y")], "HardSigmoid", id="clip times a sixth"),
        pytest.param([*CLIP, node("Div", "c six", "d"), node("Mul", "x d", "y")], "HardSwish", id="x (clip / 6)"),
        pytest.param([*CLIP, node("Mul", "c x", "d"), node("Div", "d six", "y")], "HardSwish", id="(x clip) / 6"),
        pytest.param(
            [node("HardSigmoid", "x", "d", alpha=1 / 6), node("Mul", "x d", "y")], "HardSwish", id="x times HardSigmoid"
        ),
    ],
)
def test_hard_swish_written_out_becomes_one_node(nodes: list[Any], name: str) -> None:
    graph = graph_of(nodes, BOUNDS)
    cleaned = optimise(graph)
    assert ops(cleaned) == [name]
    assert_same_answers(graph, cleaned)


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([node("HardSigmoid", "x", "d"), node("Mul", "x d", "y")], id="the other slope"),
        pytest.param([*CLIP, node("Relu", "x", "r"), node("Mul", "r c", "d"), node("Div", "d six", "y")], id="another x"),
        pytest.param([*CLIP, node("Div", "six c", "y")], id="six divided by it"),
        pytest.param([*CLIP, node("Div", "c three", "y")], id="a third"),
    ],
)
def test_what_only_looks_like_hard_swish_stays(nodes: list[Any]) -> None:
    assert fuse_hard_swish(graph_of(nodes, BOUNDS)).changes == 0


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param(
            [node("Transpose", "x", "a", perm=[0, 2, 3, 1]), node("Transpose", "a", "y", perm=[0, 2, 1, 3])],
            ["Transpose"],
            id="two transposes",
        ),
        pytest.param(
            [node("Transpose", "x", "a"), node("Transpose", "a", "y")], ["Transpose"], id="there and back, to an output"
        ),
        pytest.param(
            [node("Flatten", "x", "a"), node("Reshape", "a s", "b"), node("Squeeze", "b z", "y")], ["Reshape"], id="views"
        ),
        pytest.param(
            [node("Cast", "x", "a", to=11), node("Cast", "a", "b", to=1), node("Relu", "b", "y")], ["Relu"], id="wider and back"
        ),
    ],
)
def test_a_chain_of_moves_is_one(nodes: list[Any], expected: list[str]) -> None:
    graph = graph_of(nodes, {"s": np.int64([1, 5, 24]), "z": np.int64([0])})
    cleaned = optimise(graph)
    assert ops(cleaned) == expected
    assert_same_answers(graph, cleaned, tolerance=0)


def test_a_cast_that_rounds_stays() -> None:
    graph = graph_of([node("Cast", "x", "a", to=6), node("Cast", "a", "b", to=1), node("Relu", "b", "y")])
    assert merge_moves(graph).changes == 0
    half = graph_of([node("Cast", "x", "a", to=10), node("Cast", "a", "b", to=1), node("Relu", "b", "y")])
    assert merge_moves(half).changes == 0


PADS = [0, 0, 1, 2, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "attributes", [{}, {"pads": [1, 0, 0, 2]}, {"auto_pad": "VALID"}, {"strides": [2, 2], "dilations": [1, 2]}], ids=str
)
def test_zeros_padded_before_a_convolution_are_its_own(attributes: dict[str, Any]) -> None:
    graph = graph_of(
        [node("Pad", "x p zero", "a"), node("Conv", "a w", "y", **attributes)],
        {"p": np.int64(PADS), "zero": np.float32(0), "w": normal(3, 4, 2, 2)},
    )
    folded = fold_pads(graph).graph
    assert ops(folded) == ["Conv"]
    assert_same_answers(graph, folded)


def test_axes_of_a_pad_are_counted_from_both_ends() -> None:
    constants = {"p": np.int64([1, 2, 0, 1]), "axes": np.int64([-1, 2]), "w": normal(3, 4, 2, 2)}
    graph = graph_of([helper.make_node("Pad", ["x", "p", "", "axes"], ["a"]), node("Conv", "a w", "y")], constants, opset=18)
    assert ops(fold_pads(graph).graph) == ["Conv"]
    assert_same_answers(graph, fold_pads(graph).graph)


@pytest.mark.parametrize(
    ("pads", "value", "attributes", "conv"),
    [
        pytest.param(PADS, 1, {}, {}, id="ones"),
        pytest.param([0, 1, 0, 0, 0, 0, 0, 0], 0, {}, {}, id="channels"),
        pytest.param([0, 0, -1, 0, 0, 0, 0, 0], 0, {}, {}, id="a crop"),
        pytest.param(PADS, 0, {"mode": "edge"}, {}, id="edges"),
        pytest.param(PADS, 0, {}, {"auto_pad": "SAME_UPPER"}, id="a convolution that counts its pads itself"),
    ],
)
def test_other_pads_stay(pads: list[int], value: float, attributes: dict[str, Any], conv: dict[str, Any]) -> None:
    channels = SHAPE[1] + pads[1]
    constants = {"p": np.int64(pads), "value": np.float32(value), "w": normal(3, channels, 2, 2)}
    graph = graph_of([node("Pad", "x p value", "a", **attributes), node("Conv", "a w", "y", **conv)], constants)
    assert fold_pads(graph).changes == 0


ATTENTION = [
    node("Reshape", "x rows", "r"),
    node("MatMul", "r wq", "q0"),
    node("Add", "q0 bq", "q1"),
    node("Reshape", "q1 heads", "q2"),
    node("Transpose", "q2", "q", perm=[1, 0, 2]),
    node("MatMul", "r wk", "k0"),
    node("Reshape", "k0 heads", "k1"),
    node("Transpose", "k1", "k", perm=[1, 2, 0]),
]


@pytest.mark.parametrize(
    "scaling",
    [
        pytest.param([node("Mul", "q s", "qs"), node("MatMul", "qs k", "y")], id="of the queries"),
        pytest.param([node("Mul", "s k", "ks"), node("MatMul", "q ks", "y")], id="of the keys"),
        pytest.param([node("MatMul", "q k", "l"), node("Div", "l d", "z"), node("Relu", "z", "y")], id="of the logits"),
    ],
)
def test_the_scale_of_attention_goes_into_the_weights(scaling: list[Any]) -> None:
    constants = {"wq": normal(6, 8), "wk": normal(6, 8), "bq": normal(8), "s": np.float32(0.3), "d": np.float32([3.3])}
    constants |= {"rows": np.int64([20, 6]), "heads": np.int64([20, 2, 4])}
    graph = graph_of([*ATTENTION, *scaling], constants)
    cleaned = fold_scales(graph).graph
    assert not {"Mul", "Div"} & set(ops(cleaned))
    assert_same_answers(graph, cleaned)


def test_a_scale_stays_where_others_read_what_it_scales() -> None:
    constants = {"w": normal(6, 8), "s": np.float32(0.3)}
    shared = graph_of([node("MatMul", "x w", "a"), node("Mul", "a s", "b"), node("Add", "a b", "y")], constants)
    assert fold_scales(shared).changes == 0
    split = [node("MatMul", "x w", "a"), node("Split", "a", "b c", axis=-1), node("Mul", "b s", "d"), node("Add", "c d", "y")]
    assert fold_scales(graph_of(split, constants)).changes == 0


def test_a_scale_that_would_leave_half_precision_stays() -> None:
    nodes = [node("Cast", "x", "h", to=10), node("MatMul", "h w", "a"), node("Mul", "a s", "b"), node("Cast", "b", "y", to=1)]
    tiny = {"w": normal(6, 8).astype(np.float16), "s": np.float16(1e-7)}
    assert fold_scales(graph_of(nodes, tiny)).changes == 0


@pytest.mark.parametrize("row", [(8,), (1, 8)], ids=str)
def test_a_product_and_its_row_are_a_gemm(row: tuple[int, ...]) -> None:
    constants = {"rows": np.int64([20, 6]), "w": normal(6, 8), "b": normal(*row)}
    graph = graph_of([node("Reshape", "x rows", "r"), node("MatMul", "r w", "p"), node("Add", "b p", "y")], constants)
    assert ops(fuse_gemm(graph).graph) == ["Reshape", "Gemm"]
    assert_same_answers(graph, fuse_gemm(graph).graph)


@pytest.mark.parametrize("row", [(20, 1), (20, 8), (1,), (1, 1, 8)], ids=str)
def test_a_product_and_anything_but_a_row_stay_two(row: tuple[int, ...]) -> None:
    constants = {"rows": np.int64([20, 6]), "w": normal(6, 8), "b": normal(*row)}
    graph = graph_of([node("Reshape", "x rows", "r"), node("MatMul", "r w", "p"), node("Add", "b p", "y")], constants)
    assert fuse_gemm(graph).changes == 0


def test_large_constants_that_are_equal_are_kept_once_and_small_ones_apart() -> None:
    large = normal(6, 4000)
    other = large.copy()
    other[3, 1999] += 1
    constants = {"a": large, "b": large.copy(), "c": other, "d": normal(6, 2), "e": normal(6, 2)}
    nodes = [node("MatMul", f"x {name}", f"y{name}") for name in "abcde"]
    graph = graph_of(nodes, constants, tuple(f"y{name}" for name in "abcde"))
    shared = share_constants(graph).graph
    assert set(shared.constants) == {"a", "c", "d", "e"}
    assert_same_answers(graph, shared, tolerance=0)


@st.composite
def random_graphs(draw: st.DrawFn) -> Graph:
    """Chains of what the passes look for, mixed with what disturbs them: other readers, outputs in between, activations."""
    constants: Constants = {**NUMBERS, **BOUNDS, "k": normal(1, 4, 1, 1), "s": np.float32(0.3), "p": np.int64(PADS)}
    constants |= {"flat": np.int64([4, 30]), "back": np.int64(SHAPE), "matrix": normal(6, 6) / 3, "row": normal(6)}
    names, nodes = ["x"], []
    for i in range(draw(st.integers(1, 8))):
        x, y = draw(st.sampled_from(names)), f"t{i}"
        other = draw(st.sampled_from(names))
        constants[f"w{i}"] = normal(4, 4, 1, 1) / 2
        constants[f"v{i}"] = normal(4, 4, 2, 4) / 4
        pieces = {
            "activation": [node(draw(st.sampled_from(["Relu", "Sigmoid", "Tanh"])), x, y)],
            "sum": [node("Add", f"{x} {other}", y)],
            "channel": [node(draw(st.sampled_from(["Mul", "Add", "Sub"])), draw(st.sampled_from([f"{x} k", f"k {x}"])), y)],
            "scale": [node("Mul", f"{x} s", y)],
            "conv": [node("Conv", f"{x} w{i}", y, pads=[0, 0, 0, 0])],
            "padded": [node("Pad", f"{x} p", f"{y}p"), node("Conv", f"{y}p v{i}", y)],
            "turned": [node("Transpose", x, f"{y}a", perm=[0, 2, 3, 1]), node("Transpose", f"{y}a", y, perm=[0, 3, 1, 2])],
            "viewed": [node("Reshape", f"{x} flat", f"{y}a"), node("Reshape", f"{y}a back", y)],
            "matrix": [node("MatMul", f"{x} matrix", f"{y}a"), node("Add", f"{y}a row", y)],
            "norm": _renamed(layer_norm([-1]), x, y),
            "hard": _renamed([*CLIP, node("Mul", "c x", "d"), node("Div", "d six", "n")], x, y),
        }
        nodes += pieces[draw(st.sampled_from(sorted(pieces)))]
        names.append(y)
    read = {name for one in nodes for name in one.input}
    outputs = [name for name in names[1:] if name not in read or draw(st.integers(0, 4)) == 0]
    return graph_of(nodes, constants, tuple(outputs))


def _renamed(nodes: list[Any], x: str, y: str) -> list[Any]:
    """The same nodes from x to y, their inner tensors named after y."""
    made = {name for one in nodes for name in one.output}
    new = {"x": x, "n": y} | {name: f"{y}{name}" for name in made - {"n"}}
    result = []
    for one in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(one)
        del copy.input[:], copy.output[:]
        copy.input.extend(new.get(name, name) for name in one.input)
        copy.output.extend(new[name] for name in one.output)
        copy.name = f"{one.op_type}_{copy.output[0]}"
        result.append(copy)
    return result


@pytest.mark.parametrize(
    ("equation", "other"),
    [
        ("bhid,bhjd->bhij", (1, 4, 7, 6)),
        ("bhij, bhjd -> bhid", (1, 4, 6, 3)),
        ("bchw,dc->bdhw", (2, 4)),
        ("bchw,bkc->bkhw", (1, 3, 4)),
        ("bnhd,hdm->bnm", (5, 6, 2)),
        ("abcd,ebfd", (2, 4, 3, 6)),
        ("abcd,abcd->", SHAPE),
        ("...cd,dk->...ck", (SHAPE[3], 2)),
        ("...cd,...ed->...ce", (*SHAPE[:2], 7, SHAPE[3])),
    ],
)
def test_an_einsum_of_two_tensors_is_a_matrix_product(equation: str, other: tuple[int, ...]) -> None:
    graph = graph_of([node("Einsum", "x w", "e", equation=equation), node("Tanh", "e", "y")], {"w": normal(*other)})
    found = optimise(graph)
    assert "Einsum" not in ops(found) and ops(found).count("MatMul") == 1
    assert_same_answers(graph, found)


@pytest.mark.parametrize(
    ("equation", "other"),
    [("abcd,bc->bd", (4, 5)), ("abcd,ee->abcd", (2, 2)), ("...d,...->...", SHAPE[:3])],
)
def test_an_einsum_that_is_no_matrix_product_stays(equation: str, other: tuple[int, ...]) -> None:
    graph = graph_of([node("Einsum", "x w", "y", equation=equation)], {"w": normal(*other)})
    assert optimise(graph).nodes[-1].op == "Einsum"


@pytest.mark.parametrize(
    ("equation", "other"),
    [("abcd,abcd->abcd", SHAPE), ("abcd,e->eabcd", (3,)), ("abcd,ae->dabce", (SHAPE[0], 2)), ("...d,d->...d", (SHAPE[3],))],
)
def test_an_einsum_that_sums_nothing_is_a_product_of_elements(equation: str, other: tuple[int, ...]) -> None:
    graph = graph_of([node("Einsum", "x w", "e", equation=equation), node("Tanh", "e", "y")], {"w": normal(*other)})
    found = optimise(graph)
    assert not {"Einsum", "MatMul"} & set(ops(found)) and ops(found).count("Mul") == 1
    assert_same_answers(graph, found)


@pytest.mark.parametrize("equation", ["abcd->dcba", "abcd->ac", "abcd->", "a...d->d...", "...d->..."])
def test_an_einsum_of_one_tensor_is_a_sum_and_a_transpose(equation: str) -> None:
    """Compared with numpy: ONNX Runtime 1.23, the last for Python 3.10, cannot run all of these itself."""
    found = optimise(graph_of([node("Einsum", "x", "e", equation=equation), node("Tanh", "e", "y")], {}))
    assert "Einsum" not in ops(found)
    np.testing.assert_allclose(answers(found)["y"], np.tanh(np.einsum(equation, picture())), rtol=0, atol=1e-5)


def test_sorting_one_element_and_undoing_it_leaves_nothing() -> None:
    """What PyTorch's exporter writes around a packed batch of one sequence."""
    nodes = [
        node("ReduceSum", "x inner", "lengths", keepdims=0),
        node("TopK", "lengths one", "sorted order", axis=-1),
        node("Gather", "x order", "a", axis=0),
        node("ScatterElements", "nought order nought", "back", axis=0),
        node("Gather", "a back", "b", axis=0),
        node("Mul", "b sorted", "y"),
    ]
    integers = {"inner": np.int64([1, 2, 3]), "one": np.int64([1]), "nought": np.int64([0])}
    graph = graph_of(nodes, integers)
    assert ops(optimise(graph)) == ["ReduceSum", "Mul"]
    assert_same_answers(graph, optimise(graph))


@settings(max_examples=80)
@given(random_graphs())
def test_every_pass_keeps_the_answers_of_random_graphs(graph: Graph) -> None:
    for run in PASSES:
        result = run(graph)
        assert (result.changes == 0) == (result.graph is graph), run.__name__
        assert_same_answers(graph, result.graph)
    cleaned = optimise(graph)
    assert_same_answers(graph, cleaned, tolerance=1e-4)
    assert len({one.name for one in cleaned.nodes}) == len(cleaned.nodes)
    assert all(run(cleaned).changes == 0 for run in PASSES)


@settings(max_examples=20)
@given(random_graphs())
def test_operators_of_another_domain_are_left_alone(graph: Graph) -> None:
    custom = graph.with_nodes([replace(one, domain="com.example") for one in graph.nodes])
    cleaned = optimise(custom)
    assert [one.op for one in cleaned.nodes] == [one.op for one in custom.nodes]
