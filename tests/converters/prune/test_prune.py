"""Structured pruning: whatever is cut, the graph stays whole; what did nothing goes without a trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prune_graphs import KINDS, feeds, network, networks, run_one_thread

from edgekit.converters.cost import graph_cost
from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.places import Places
from edgekit.converters.prune import prune
from edgekit.converters.prune.allocate import allocate
from edgekit.converters.prune.coupling.families import families, work
from edgekit.converters.prune.coupling.walk import Coupling, couple
from edgekit.converters.prune.cut import remove, silenced
from edgekit.converters.prune.measure.eliminate import elimination, readers_of
from edgekit.converters.prune.measure.importance import moments, read_tensors
from edgekit.converters.prune.measure.sensitivity import DEEPEST, ladder
from edgekit.converters.prune.mend.patches import patches
from edgekit.core.errors import InputError, UsageError

Build = Callable[..., Graph]


def outputs(graph: Graph, feed: Any) -> list[Any]:
    return list(run_one_thread(to_bytes(graph))(feed).values())


def chosen(coupling: Coupling, seed: int) -> Any:
    """Random sets of channels of every family, one of each left at least."""
    rng = np.random.RandomState(seed)
    picked = [rng.permutation(one.units)[: rng.randint(0, len(one.units))] for one in families(coupling)]
    return np.concatenate([np.zeros(0, np.int64), *picked])


@settings(max_examples=25)
@given(networks, st.integers(0, 2**31))
def test_any_cut_leaves_a_graph_that_runs_with_the_macs_that_were_foretold(graph: Graph, seed: int) -> None:
    coupling = couple(graph)
    found = families(coupling)
    removed = chosen(coupling, seed)
    smaller = remove(graph, coupling, removed)
    assert [spec.shape for spec in smaller.outputs] == [spec.shape for spec in graph.outputs]
    assert all(np.isfinite(value).all() for value in outputs(smaller, feeds(graph)[0]))
    kept = np.array([np.count_nonzero(~np.isin(one.units, removed)) for one in found], np.int64)
    assert work(graph, coupling, found).macs(kept) == pytest.approx(graph_cost(smaller).macs)
    assert graph_cost(smaller).params <= graph_cost(graph).params


@settings(max_examples=25)
@given(networks, st.integers(0, 2**31))
def test_channels_whose_weights_are_all_zero_go_without_a_trace(graph: Graph, seed: int) -> None:
    coupling = couple(graph)
    removed = chosen(coupling, seed)
    silent = silenced(graph, coupling, removed)
    feed = feeds(graph)[0]
    for before, after in zip(outputs(silent, feed), outputs(remove(silent, coupling, removed), feed), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_block_can_be_cut(kind: str) -> None:
    graph = network((kind, "relu"), 3)
    coupling = couple(graph)
    makers = {node.name for node in graph.nodes if node.op in ("Conv", "ConvTranspose", "MatMul")}
    assert {one.name for one in families(coupling)} & makers
    smaller = remove(graph, coupling, np.concatenate([one.units[1:] for one in families(coupling)]))
    assert graph_cost(smaller).macs < graph_cost(graph).macs


def test_channels_that_an_unknown_operator_reads_are_kept_and_the_operator_is_named() -> None:
    report = prune(network(("unknown", "relu"), 0), share=0.1, multiple=1).report
    assert any("no rule knows LRN" in reason for reason in report.kept_whole)


def test_the_channels_of_the_outputs_are_kept() -> None:
    graph = network(("relu",), 0)
    assert any("they are the output" in reason for reason in couple(graph).frozen.values())


def test_attention_heads_go_whole(build: Build) -> None:
    rng = np.random.RandomState(0)
    weight = {name: rng.normal(size=(24, 24)).astype(np.float32) for name in ("q", "k", "v", "o")}
    nodes: list[Any] = []
    for name, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            ("MatMul", ["x", name], [f"{name}1"], {}),
            ("Reshape", [f"{name}1", "parted"], [f"{name}2"], {}),
            ("Transpose", [f"{name}2"], [f"{name}3"], {"perm": order}),
        ]
    nodes += [
        ("MatMul", ["q3", "k3"], ["scores"], {}),
        ("Softmax", ["scores"], ["weights"], {"axis": -1}),
        ("MatMul", ["weights", "v3"], ["mixed"], {}),
        ("Transpose", ["mixed"], ["back"], {"perm": [0, 2, 1, 3]}),
        ("Reshape", ["back", "merged"], ["flat"], {}),
        ("MatMul", ["flat", "o"], ["y"], {}),
    ]
    shapes = {"parted": np.array([1, 5, 4, 6]), "merged": np.array([1, 5, 24])}
    graph = build(nodes, inputs={"x": (1, 5, 24)}, outputs=["y"], constants={**weight, **shapes})
    coupling = couple(graph)
    (heads,) = families(coupling)
    assert (len(heads.units), heads.width) == (4, 6)
    smaller = remove(graph, coupling, heads.units[:1])
    assert {smaller.shape(name) for name in ("q1", "k1", "v1", "flat")} == {(1, 5, 18)}
    assert smaller.shape("scores") == (1, 3, 5, 5)
    assert outputs(smaller, feeds(graph)[0])[0].shape == (1, 5, 24)


@settings(max_examples=10)
@given(networks, st.sampled_from([2, 4, 8, 16, 32]))
def test_counts_are_multiples_and_at_least_the_share_goes(graph: Graph, multiple: int) -> None:
    try:
        pruned = prune(graph, share=0.15, multiple=multiple)
    except InputError as error:
        assert "can be pruned away" in error.message
        return
    report = pruned.report
    assert report.share >= 0.15
    assert report.macs_after == graph_cost(pruned.graph).macs
    assert all(one.after % multiple == 0 and 0 < one.after < one.before for one in report.shrunk)


def test_more_than_there_is_says_how_much_can_go() -> None:
    with pytest.raises(InputError, match=r"at most .* can be pruned away, asked was 99%") as caught:
        prune(network(("relu", "residual"), 1), share=0.99)
    assert caught.value.hint.startswith("--prune ")


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, 1.5, float("nan")])
def test_a_share_that_makes_no_sense_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="share"):
        prune(network(("relu",), 0), share=share)


def test_samples_that_can_be_read_only_once_are_refused() -> None:
    graph = network(("relu",), 0)
    with pytest.raises(InputError, match="read once"):
        prune(graph, share=0.2, samples=iter(feeds(graph)), execute=run_one_thread)


def test_the_same_samples_give_the_same_graph() -> None:
    graph = network(("relu", "concat", "relu"), 5)
    data = feeds(graph, 6)
    first, second = (prune(graph, share=0.3, samples=data, execute=run_one_thread, multiple=4) for _ in range(2))
    assert to_bytes(first.graph) == to_bytes(second.graph)
    assert first.report == second.report


def error_of(graph: Graph, smaller: Graph, data: list[Any]) -> float:
    pairs = [(outputs(graph, feed)[0], outputs(smaller, feed)[0]) for feed in data]
    return float(sum(np.square(a - b).sum() for a, b in pairs) / sum(np.square(a).sum() for a, _ in pairs))


@pytest.mark.parametrize("kinds", [("relu", "relu"), ("relu", "residual", "depthwise"), ("concat", "gate", "transpose")])
def test_with_samples_the_result_is_nearer_to_the_source_than_by_weights_alone(kinds: tuple[str, ...]) -> None:
    graph = network(kinds, 11)
    data = feeds(graph, 24)
    blind = prune(graph, share=0.3, multiple=2).graph
    seen = prune(graph, share=0.3, samples=data[:16], execute=run_one_thread, multiple=2).graph
    assert error_of(graph, seen, data[16:]) < 0.5 * error_of(graph, blind, data[16:])


def test_a_channel_that_another_one_repeats_costs_nothing() -> None:
    """Every second channel is twice its neighbour: half of them can go and the next layer makes up for it."""
    graph = network(("relu", "relu"), 2)
    first = next(node for node in graph.nodes if node.op == "Conv")
    weight, bias = (graph.constants[name].copy() for name in first.inputs[1:])
    weight[1::2], bias[1::2] = 2 * weight[::2], 2 * bias[::2]
    graph = graph.with_nodes(graph.nodes, constants={first.inputs[1]: weight, first.inputs[2]: bias})
    coupling = couple(graph)
    family = next(one for one in families(coupling) if one.name == first.name)
    measured = moments(graph, read_tensors(graph, coupling), feeds(graph, 16), run_one_thread, Places())
    order, lost = elimination(family, readers_of(family, graph, coupling, measured))
    half = len(order) // 2
    pairs = {int(np.flatnonzero(np.sort(family.units) == unit)[0]) // 2 for unit in order[:half]}
    assert len(pairs) == half
    assert lost[half] < 0.01
    assert lost[-1] == pytest.approx(1, abs=0.05)


def test_allocation_takes_the_cheapest_steps_first() -> None:
    graph = network(("relu", "relu"), 4)
    coupling = couple(graph)
    found = families(coupling)
    cost = work(graph, coupling, found)
    worth = np.zeros(len(coupling.roots))
    worth[found[0].units] = 1.0
    ladders = [ladder(one, worth, 4) for one in found]
    kept = allocate(cost, ladders, 0.2)
    assert kept[0] == len(found[0].units)
    assert kept[1:].sum() < sum(len(one.units) for one in found[1:])


def test_no_family_gives_up_most_of_itself_unless_the_share_needs_it() -> None:
    graph = network(("relu", "concat", "relu"), 5)

    def kept_at_least(share: float) -> float:
        shrunk = prune(graph, share=share, samples=feeds(graph, 8), execute=run_one_thread, multiple=2).report.shrunk
        return min(one.after / one.before for one in shrunk)

    assert kept_at_least(0.3) >= DEEPEST
    assert kept_at_least(0.9) < DEEPEST


@settings(max_examples=10)
@given(networks, st.floats(0.1, 0.5))
def test_no_step_is_taken_that_the_share_does_not_need(graph: Graph, share: float) -> None:
    coupling = couple(graph)
    found = families(coupling)
    cost = work(graph, coupling, found)
    worth = np.random.RandomState(0).uniform(0.1, 1, len(coupling.roots))
    ladders = [ladder(one, worth, 2) for one in found]
    try:
        kept = allocate(cost, ladders, share)
    except InputError:
        return
    assert cost.macs(kept) <= (1 - share) * cost.total
    for index, one in enumerate(ladders):
        back = kept.copy()
        back[index] = next((more for more in reversed(one.choices) if more > kept[index]), kept[index])
        assert back[index] == kept[index] or cost.macs(back) > (1 - share) * cost.total


@settings(max_examples=25)
@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    dilation=st.integers(1, 2),
    rule=st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]),
)
def test_patches_times_kernel_is_the_convolution(
    build: Build, kernel: int, stride: int, pad: int, dilation: int, rule: str
) -> None:
    rng = np.random.RandomState(0)
    dilation = 1 if rule.startswith("SAME") else dilation
    attributes: dict[str, Any] = {
        "strides": [stride] * 2,
        "dilations": [dilation] * 2,
        "kernel_shape": [kernel] * 2,
        "auto_pad": rule,
    }
    if rule == "NOTSET":
        attributes["pads"] = [pad] * 4
    weight = rng.normal(size=(4, 3, kernel, kernel)).astype(np.float32)
    graph = build(
        [("Conv", ["x", "w"], ["y"], attributes)], inputs={"x": (1, 3, 9, 10)}, outputs=["y"], constants={"w": weight}
    )
    feed = feeds(graph)[0]
    (made,) = outputs(graph, feed)
    places = np.arange(made.shape[2] * made.shape[3])
    rows = patches(graph.nodes[0], feed["x"], made.shape, weight.shape, places)
    np.testing.assert_allclose(rows @ weight.reshape(4, -1).T, np.moveaxis(made, 1, -1).reshape(-1, 4), rtol=1e-3, atol=1e-4)


def test_a_shared_kernel_is_cut_for_each_reader_by_itself() -> None:
    graph = network(("relu", "relu"), 9)
    convs = [node for node in graph.nodes if node.op == "Conv"]
    shared = replace(convs[0], name="again", outputs=("again",))
    graph = graph.with_nodes([*graph.nodes, shared], specs={"again": replace_name(graph, convs[0].output, "again")})
    coupling = couple(graph)
    family = next(one for one in families(coupling) if one.name == convs[0].name)
    smaller = remove(graph, coupling, family.units[:3])
    assert outputs(smaller, feeds(graph)[0])[0].shape == (1, 5)


def replace_name(graph: Graph, name: str, new: str) -> Any:
    import msgspec

    return msgspec.structs.replace(graph.specs[name], name=new)
