"""LSTM, GRU and RNN in every form exporters write run in LiteRT as in ONNX Runtime; the others are refused by name."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.graph import Graph
from edgekit.converters.lower.tflite import legalise, lower
from edgekit.core.errors import Unsupported
from edgekit.core.schema import TensorSpec

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OUTPUTS = {"LSTM": ("y", "h", "c"), "GRU": ("y", "h"), "RNN": ("y", "h")}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A recurrent node: its sizes, and which optional inputs and outputs it has."""

    op: str = "LSTM"
    steps: int = 4
    batch: int = 1
    width: int = 3
    hidden: int = 5
    direction: str = "forward"
    bias: bool = True
    length: int | None = None
    start: str = "none"
    """What the initial states are: none, zeros, constant or computed."""
    reset_last: int = 0
    clip: float | None = None
    relu: bool = False
    wanted: tuple[str, ...] = ("y",)

    def graph(self, bench) -> Graph:
        rng = np.random.default_rng(len(self.op) + self.steps)
        directions, gates = 1 + (self.direction == "bidirectional"), GATES[self.op]
        sizes = {
            "w": (directions, gates * self.hidden, self.width),
            "r": (directions, gates * self.hidden, self.hidden),
            "b": (directions, 2 * gates * self.hidden),
        }
        spread = self.hidden**-0.5  # larger weights make long sequences chaotic
        constants = {name: (spread * rng.normal(size=size)).astype(np.float32) for name, size in sizes.items()}
        states = ["h0", "c0"][: 1 + (self.op == "LSTM")]
        shape = (directions, self.batch, self.hidden)
        if self.start in ("zeros", "constant"):
            values = np.zeros(shape) if self.start == "zeros" else rng.normal(size=shape)
            constants |= {name: values.astype(np.float32) for name in states}
        if self.length is not None:
            constants["lengths"] = np.full(self.batch, self.length, np.int32)
        reads = ["x", "w", "r", "b" if self.bias else "", "lengths" if self.length is not None else ""]
        reads += states if self.start != "none" else []
        inputs = {"x": (self.steps, self.batch, self.width)}
        inputs |= dict.fromkeys(states, shape) if self.start == "computed" else {}
        writes = [name if name in self.wanted else "" for name in OUTPUTS[self.op]]
        found = bench.graph(inputs, [(self.op, reads, writes, self.attributes())], constants)
        return replace(found, outputs=tuple(spec for spec in found.outputs if spec.name))

    def attributes(self):
        named = {"hidden_size": self.hidden, "direction": self.direction}
        named |= {"linear_before_reset": self.reset_last} if self.op == "GRU" else {}
        named |= {"clip": self.clip} if self.clip else {}
        return named | ({"activations": ["Relu"] * (1 + (self.direction == "bidirectional"))} if self.relu else {})


@st.composite
def cases(draw) -> Case:
    op = draw(st.sampled_from(sorted(GATES)))
    steps = draw(st.integers(1, 6))
    return Case(
        op=op,
        steps=steps,
        batch=draw(st.integers(1, 3)),
        width=draw(st.integers(1, 4)),
        hidden=draw(st.integers(1, 6)),
        direction=draw(st.sampled_from(["forward", "reverse", "bidirectional"])),
        bias=draw(st.booleans()),
        length=draw(st.none() | st.integers(1, steps)),
        start=draw(st.sampled_from(["none", "zeros", "constant", "computed"])),
        reset_last=draw(st.integers(0, 1)),
        clip=draw(st.sampled_from([None, 0.75])),
        relu=op == "RNN" and draw(st.booleans()),
        wanted=tuple(draw(st.sets(st.sampled_from(OUTPUTS[op]), min_size=1))),
    )


def assert_alike(bench, graph: Graph, *, edgetpu: bool = False) -> None:
    lowered = lower(legalise(graph, edgetpu=edgetpu).graph, precision="fp32", quantization=None, edgetpu=edgetpu)
    feed = bench.feed(graph)
    expected, found = bench.onnx(graph, feed), bench.tflite(lowered, feed)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@settings(max_examples=60)
@given(cases())
def test_every_form_gives_what_onnx_runtime_gives(bench, case: Case) -> None:
    assert_alike(bench, case.graph(bench))


@settings(max_examples=20)
@given(cases())
def test_every_form_gives_the_same_in_operators_that_the_edge_tpu_has(bench, case: Case) -> None:
    graph = case.graph(bench)
    assert_alike(bench, graph, edgetpu=True)
    program = bench.program(graph, edgetpu=True)
    assert program.count("SPLIT_V") == 0
    rows = {math.prod(op.outputs[0].shape[:-1]) for op in program.operators if op.name == "FULLY_CONNECTED"}
    assert rows <= {1}


@pytest.mark.parametrize("batch_first", [0, 1])
@pytest.mark.parametrize("op", sorted(GATES))
def test_a_sequence_of_columns_is_cut_out_of_the_picture_for_the_edge_tpu(bench, op: str, batch_first: int) -> None:
    """What reads text: turning the picture into rows first would take a TRANSPOSE, and with it the rest off the Edge TPU."""
    case = Case(op=op, steps=9, width=8, hidden=5, direction="bidirectional")
    recurrent = case.graph(bench)
    turned = [
        ("Reshape", ["c", "flat"], ["f"], {}),
        ("Transpose", ["f"], ["s"], {"perm": [2, 0, 1]}),
    ]
    permuted = [
        ("Transpose", ["c"], ["p"], {"perm": [0, 3, 1, 2]}),
        ("Reshape", ["p", "rows"], ["r"], {}),
        ("Transpose", ["r"], ["s"], {"perm": [1, 0, 2]}),
    ]
    moves = permuted if batch_first else turned
    nodes = [("Conv", ["x", "k"], ["c"], {}), *moves, (op, ["s", "w", "r0", "b"], ["y"], case.attributes())]
    constants = {"k": np.float32(0.3 * np.random.default_rng(1).normal(size=(4, 3, 1, 1))), "flat": np.int64([1, 8, 9])}
    constants |= {"rows": np.int64([1, 9, 8]), **{name: recurrent.constants[name] for name in ("w", "b")}}
    graph = bench.graph({"x": (1, 3, 2, 9)}, nodes, {**constants, "r0": recurrent.constants["r"]})
    assert_alike(bench, graph, edgetpu=True)
    assert bench.program(graph, edgetpu=True).count("TRANSPOSE") == 0


@pytest.mark.parametrize(("start", "end", "step"), [(-1, -(2**63), -1), (3, 0, -1), (4, -6, -2), (-2, 0, -1)])
def test_a_slice_that_runs_backwards_is_a_gather(bench, start: int, end: int, step: int) -> None:
    """What the newer PyTorch exporter writes for the reverse direction of a plain RNN."""
    constants = {"b": np.int64([start]), "e": np.int64([end]), "a": np.int64([-2]), "s": np.int64([step])}
    graph = bench.graph({"x": (2, 5, 3)}, [("Slice", ["x", "b", "e", "a", "s"], ["y"], {})], constants)
    assert_alike(bench, graph)


@pytest.mark.parametrize("op", sorted(GATES))
def test_running_twice_gives_the_same_for_no_state_is_kept(bench, op: str) -> None:
    graph = Case(op=op).graph(bench)
    lowered = lower(legalise(graph, edgetpu=False).graph, precision="fp32", quantization=None, edgetpu=False)
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=lowered.files["model.tflite"])
    interpreter.allocate_tensors()
    answers = []
    for _ in range(2):
        x = bench.feed(graph)["x"].transpose(lowered.inputs[0].permutation or (0, 1, 2))
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ascontiguousarray(x))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).copy())
    np.testing.assert_array_equal(*answers)


def test_layers_after_each_other_move_no_data(bench) -> None:
    """What both PyTorch exporters write for two bidirectional layers: Transpose and Reshape around each."""
    first, second = Case(direction="bidirectional", width=3), Case(direction="bidirectional", width=10, steps=5)
    one, two = first.graph(bench), second.graph(bench)
    constants = {f"1{name}": value for name, value in one.constants.items()} | {
        f"2{name}": v for name, v in two.constants.items()
    }
    constants |= {"flat": np.int64([0, 0, -1])}
    nodes = [
        ("LSTM", ["x", "1w", "1r", "1b"], ["y1"], first.attributes()),
        ("Transpose", ["y1"], ["t1"], {"perm": [0, 2, 1, 3]}),
        ("Reshape", ["t1", "flat"], ["x2"], {}),
        ("LSTM", ["x2", "2w", "2r", "2b"], ["y2"], second.attributes()),
        ("Transpose", ["y2"], ["t2"], {"perm": [0, 2, 1, 3]}),
        ("Reshape", ["t2", "flat"], ["y"], {}),
    ]
    graph = bench.graph({"x": (4, 2, 3)}, nodes, constants)
    assert_alike(bench, graph)
    assert bench.program(graph).count("TRANSPOSE") == 0


def test_a_gru_takes_eleven_operators_a_step(bench) -> None:
    operators = len(bench.program(Case(op="GRU", steps=21, reset_last=1).graph(bench)).operators)
    assert operators <= 21 * 11 + 6


def test_weights_are_stored_once_however_many_the_steps(bench) -> None:
    graph = Case(steps=40, hidden=32, width=8).graph(bench)
    lowered = lower(legalise(graph, edgetpu=False).graph, precision="fp32", quantization=None, edgetpu=False)
    weights = sum(value.nbytes for value in graph.constants.values())
    program = len(bench.program(graph).operators) * 200
    assert len(lowered.files["model.tflite"]) < weights + program


def test_large_weights_are_not_packed_anew_for_every_step(bench) -> None:
    graph = Case(steps=40, hidden=96, width=4).graph(bench)
    program = bench.program(graph)
    (shared,) = {op.inputs[1] for op in program.operators if op.name == "FULLY_CONNECTED" and op.inputs[1].data is None}
    assert shared.shape == (4 * 96, 96)
    assert_alike(bench, graph)


@pytest.mark.parametrize("start", ["none", "constant", "computed"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("clip", [None, 0.75])
def test_gates_may_see_the_cell(bench, direction: str, start: str, clip: float | None) -> None:
    case = Case(batch=2, direction=direction, start=start, clip=clip, wanted=OUTPUTS["LSTM"])
    seen = np.random.default_rng(2).normal(size=(1 + (direction == "bidirectional"), 15)).astype(np.float32)
    assert_alike(bench, with_input(case.graph(bench), 7, seen))


@pytest.mark.parametrize("start", ["none", "computed"])
@pytest.mark.parametrize("peepholes", [False, True])
def test_what_is_kept_of_the_cell_may_be_what_does_not_enter(bench, start: str, peepholes: bool) -> None:
    graph = altered(Case(start=start, wanted=OUTPUTS["LSTM"]).graph(bench), input_forget=1)
    assert_alike(bench, with_input(graph, 7, np.linspace(-1, 1, 15, dtype=np.float32)[None]) if peepholes else graph)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("LSTM", {"activations": ("HardSigmoid", "Tanh", "Tanh")}),  # what Keras called LSTM for years
        ("LSTM", {"activations": ("HardSigmoid", "Elu", "LeakyRelu"), "activation_alpha": (0.25, 0.5, 0.125), "activation_beta": (0.375,)}),
        ("LSTM", {"activations": ("sigmoid", "RELU", "Softsign")}),
        ("GRU", {"activations": ("HardSigmoid", "Softplus"), "activation_alpha": (0.125,)}),
        ("RNN", {"activations": ("LeakyRelu",), "activation_alpha": (0.25,)}),
        ("RNN", {"activations": ("Sigmoid",)}),
    ],
)  # fmt: skip
def test_activations_are_those_that_the_node_names(bench, op: str, attributes) -> None:
    assert_alike(bench, altered(Case(op=op, batch=2).graph(bench), **attributes))


def test_directions_may_have_activations_of_their_own(bench) -> None:
    graph = Case(direction="bidirectional", wanted=("y", "h", "c")).graph(bench)
    both = ("HardSigmoid", "Tanh", "Relu", "HardSigmoid", "Softsign", "Tanh")
    assert_alike(bench, altered(graph, activations=both, activation_alpha=(0.2, 0.1), activation_beta=(0.5, 0.25)))


def refused(bench, graph: Graph) -> str:
    with pytest.raises(Unsupported) as caught:
        lower(legalise(graph, edgetpu=False).graph, precision="fp32", quantization=None, edgetpu=False)
    return str(caught.value)


def altered(graph: Graph, **attributes) -> Graph:
    (node,) = graph.nodes
    return graph.with_nodes([replace(node, attributes={**node.attributes, **attributes})])


def with_input(graph: Graph, index: int, value: np.ndarray) -> Graph:
    (node,) = graph.nodes
    inputs = [*node.inputs, *[""] * (index + 1 - len(node.inputs))]
    inputs[index] = "extra"
    return graph.with_nodes([replace(node, inputs=tuple(inputs))], constants={"extra": value})


def with_peepholes_given(graph: Graph) -> Graph:
    (node,) = graph.nodes
    spec = TensorSpec(name="p", shape=(1, 15), dtype="float32")
    reads = replace(node, inputs=(*node.inputs, *[""] * (7 - len(node.inputs)), "p"))
    return replace(graph, inputs=(*graph.inputs, spec), specs={**graph.specs, "p": spec}, nodes=(reads,))


def test_what_is_not_unrolled_is_refused_by_name(bench) -> None:
    graph = Case(batch=2).graph(bench)
    assert "op LSTM at 'LSTM_0': activations ScaledTanh, Tanh, Tanh" in refused(
        bench, altered(graph, activations=("ScaledTanh", "Tanh", "Tanh"))
    )
    assert "activations Sigmoid, Tanh" in refused(bench, altered(graph, activations=("Sigmoid", "Tanh")))
    assert "its weights do not fit its input and direction" in refused(
        bench, with_input(graph, 7, np.ones((1, 10), np.float32))
    )
    assert "its weights do not fit its input and direction" in refused(bench, altered(graph, direction="sideways"))
    assert "its weights do not fit its input and direction" in refused(bench, altered(graph, direction="bidirectional"))
    assert "0 steps; 1 to 1024 are unrolled" in refused(bench, with_input(graph, 4, np.int32([0, 0])))
    assert "its peephole connections are computed, not constant" in refused(bench, with_peepholes_given(graph))
    assert "1025 steps" in refused(bench, Case(steps=1025, hidden=1).graph(bench))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", sorted(GATES))
@pytest.mark.parametrize("start", ["none", "computed"])
def test_sequences_of_a_batch_may_end_at_different_steps(bench, op: str, direction: str, start: str) -> None:
    case = Case(op=op, batch=3, direction=direction, start=start, wanted=OUTPUTS[op])
    assert_alike(bench, with_input(case.graph(bench), 4, np.int32([3, 1, 2])))


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("op", sorted(GATES))
@pytest.mark.parametrize("length", [1, 3, 4])
def test_where_a_sequence_ends_may_be_an_input(bench, op: str, direction: str, length: int) -> None:
    """What PyTorch's exporter writes for a packed sequence."""
    graph = Case(op=op, direction=direction, wanted=OUTPUTS[op]).graph(bench)
    (node,) = graph.nodes
    lengths = TensorSpec(name="lengths", shape=(1,), dtype="int32")
    reads = replace(node, inputs=(*node.inputs[:4], "lengths"))
    graph = replace(graph, inputs=(*graph.inputs, lengths), specs={**graph.specs, "lengths": lengths}, nodes=(reads,))
    feed = {"x": bench.feed(graph)["x"], "lengths": np.int32([length])}
    lowered = lower(legalise(graph, edgetpu=False).graph, precision="fp32", quantization=None, edgetpu=False)
    bench.compare(bench.tflite(lowered, feed), bench.onnx(graph, feed), 1e-5)


def test_peepholes_of_zeros_are_none(bench) -> None:
    graph = with_input(Case().graph(bench), 7, np.zeros((1, 15), np.float32))
    assert_alike(bench, graph)


def test_batch_first_is_the_same_with_the_axes_turned(bench) -> None:
    """ONNX Runtime does not take `layout=1`; the same node without it is what it must equal."""
    plain = Case(batch=2, direction="bidirectional", start="computed", wanted=("y", "h", "c")).graph(bench)
    (node,) = plain.nodes
    specs = {
        spec.name: msgspec.structs.replace(spec, shape=(spec.shape[1], spec.shape[0], *spec.shape[2:]))
        for spec in (*plain.inputs,)
    }
    steps, directions, batch, hidden = plain.shape("y")
    specs["y"] = msgspec.structs.replace(plain.specs["y"], shape=(batch, steps, directions, hidden))
    specs |= {name: msgspec.structs.replace(plain.specs[name], shape=(batch, directions, hidden)) for name in ("h", "c")}
    turned = replace(
        plain,
        inputs=tuple(specs[spec.name] for spec in plain.inputs),
        outputs=tuple(specs[spec.name] for spec in plain.outputs),
        specs={**plain.specs, **specs},
        nodes=(replace(node, attributes={**node.attributes, "layout": 1}),),
    )
    feed = bench.feed(plain)
    lowered = lower(legalise(turned, edgetpu=False).graph, precision="fp32", quantization=None, edgetpu=False)
    found = bench.tflite(lowered, {name: value.swapaxes(0, 1) for name, value in feed.items()})
    for name, value in bench.onnx(plain, feed).items():
        order = (2, 0, 1, 3) if name == "y" else (1, 0, 2)
        np.testing.assert_allclose(found[name], value.transpose(order), rtol=1e-4, atol=1e-5)
