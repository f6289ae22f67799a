"""What mends a pruned graph: readers that take over, layers fitted one after the other, places that matter looked at more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prune_graphs import feeds, network, networks, run_one_thread

from edgekit.converters.ends import LAYERS, scored_ends
from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.places import Places, places_that_matter
from edgekit.converters.prune import prune
from edgekit.converters.prune.coupling.families import families
from edgekit.converters.prune.coupling.walk import couple
from edgekit.converters.prune.cut import remove
from edgekit.converters.prune.layers import NewWeights, channels_of, with_weights
from edgekit.converters.prune.measure.importance import moments, read_tensors
from edgekit.converters.prune.mend.compensate import compensated
from edgekit.converters.prune.mend.original import original, samples_that_fit
from edgekit.converters.prune.mend.rebuild import rebuild
from edgekit.converters.prune.mend.regress import Sums, correction
from edgekit.converters.prune.mend.stream import Stream, live_bytes
from edgekit.core.errors import InputError

Build = Callable[..., Graph]


def first_output(graph: Graph, feed: Any) -> Any:
    return next(iter(run_one_thread(to_bytes(graph))(feed).values()))


def error_of(graph: Graph, smaller: Graph, data: list[Any]) -> float:
    pairs = [(first_output(graph, feed), first_output(smaller, feed)) for feed in data]
    return float(sum(np.square(a - b).sum() for a, b in pairs) / sum(np.square(a).sum() for a, _ in pairs))


@settings(max_examples=15)
@given(networks)
def test_a_stream_gives_each_layer_what_the_whole_network_gives_it(graph: Graph) -> None:
    data = feeds(graph, 3)
    layers = [node for node in graph.nodes if node.op in LAYERS]
    names = [node.inputs[0] for node in layers]
    whole = [{**feed, **run_one_thread(to_bytes(graph, [n for n in names if n not in feed]))(feed)} for feed in data]
    stream = Stream(graph, data, run_one_thread)
    for node in layers:
        for (value, *_), right in zip(stream.before(graph, node.name), whole, strict=True):
            np.testing.assert_allclose(value, right[node.inputs[0]], rtol=1e-4, atol=1e-4)


def test_a_stream_goes_on_with_the_weights_that_layers_have_by_then() -> None:
    graph = network(("relu", "relu"), 1)
    data, (first, second, *_) = feeds(graph, 2), [node for node in graph.nodes if node.op == "Conv"]
    stream = Stream(graph, data, run_one_thread)
    list(stream.before(graph, first.name))
    silent = with_weights(graph, {first.name: NewWeights(kernel=-graph.constants[first.inputs[1]])})
    values = [value for value, *_ in stream.before(silent, second.name)]
    bias = np.maximum(graph.constants[first.inputs[2]], 0)
    for value in values:
        np.testing.assert_allclose(value, np.broadcast_to(bias[None, :, None, None], value.shape), atol=1e-6)


def test_of_large_graphs_fewer_samples_are_looked_at_but_one_always(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = network(("relu", "residual"), 1)
    assert samples_that_fit(graph, 5) == 5
    monkeypatch.setattr("edgekit.converters.prune.mend.original.LIVE_BYTES", 3 * live_bytes(graph))
    assert samples_that_fit(graph, 5) == 3
    monkeypatch.setattr("edgekit.converters.prune.mend.original.LIVE_BYTES", 1)
    assert samples_that_fit(graph, 5) == 1


@settings(max_examples=25)
@given(groups=st.integers(1, 3), inputs=st.integers(1, 6), outputs=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_correction_finds_what_is_a_sum_of_the_inputs(groups: int, inputs: int, outputs: int, seed: int) -> None:
    rng = np.random.RandomState(seed)
    right = rng.normal(size=(groups, inputs, outputs))
    fit, check = (Sums.empty(groups, inputs, outputs) for _ in range(2))
    for sums in (fit, check):
        x = rng.normal(size=(200, groups, inputs)) + 3
        sums.take(x, np.einsum("pgi,gio->pgo", x, right) + 7)
    found = correction(fit, check, biased=True)
    assert found is not None
    np.testing.assert_allclose(found, right, atol=0.01)


def test_what_does_not_help_on_other_samples_is_not_done() -> None:
    rng = np.random.RandomState(0)
    fit, check = (Sums.empty(1, 30, 2) for _ in range(2))
    for sums in (fit, check):
        sums.take(rng.normal(size=(40, 1, 30)), rng.normal(size=(40, 1, 2)))
    assert correction(fit, check, biased=True) is None


@pytest.mark.parametrize("kinds", [("relu", "relu"), ("concat", "relu"), ("residual", "depthwise", "relu")])
def test_readers_take_over_what_other_channels_can_say_for_those_that_go(kinds: tuple[str, ...]) -> None:
    graph = network(kinds, 7)
    coupling, data = couple(graph), feeds(graph, 24)
    measured = moments(graph, read_tensors(graph, coupling), data[:16], run_one_thread, Places())
    for family in families(coupling):
        gone = family.units[::2]
        plain, mended = (remove(one, coupling, gone) for one in (graph, compensated(graph, coupling, gone, measured)))
        assert error_of(graph, mended, data[16:]) < error_of(graph, plain, data[16:])


@settings(max_examples=10)
@given(networks, st.integers(0, 2**31))
def test_rebuilding_never_leaves_the_layers_further_from_what_they_were(graph: Graph, seed: int) -> None:
    coupling, rng = couple(graph), np.random.RandomState(seed)
    gone = np.concatenate(
        [np.zeros(0, np.int64), *(one.units[rng.permutation(len(one.units))[::3]] for one in families(coupling))]
    )
    cut, data = remove(graph, coupling, gone), feeds(graph, 30)
    kept = {node.output: np.arange(graph.shape(node.output)[1]) for node in graph.nodes if node.op == "Gemm"}
    mended = rebuild(cut, original(graph, data[:24], run_one_thread), kept)
    assert error_of(graph, mended, data[24:]) <= 1.05 * error_of(graph, cut, data[24:]) + 1e-9


def test_a_depthwise_layer_is_fitted_tap_by_tap() -> None:
    """Its kernel was halved: what is missing is found again, channel by channel."""
    graph = network(("relu", "depthwise"), 2)
    deep = next(node for node in graph.nodes if node.op == "Conv" and node.integer("group", 1) > 1)
    halved = with_weights(graph, {deep.name: NewWeights(kernel=-0.5 * graph.constants[deep.inputs[1]])})
    kept = {deep.output: np.arange(graph.shape(deep.output)[1])}
    data = feeds(graph, 24)
    mended = rebuild(halved, original(graph, data[:16], run_one_thread), kept)
    assert error_of(graph, mended, data[16:]) < 1e-4 * error_of(graph, halved, data[16:])


def test_places_where_a_sigmoid_sees_something_are_looked_at_more(build: Build) -> None:
    graph = build(
        [
            ("Conv", ["x", "w"], ["logits"], {"kernel_shape": [1, 1]}),
            ("Transpose", ["logits"], ["moved"], {"perm": [0, 2, 3, 1]}),
            ("Sigmoid", ["moved"], ["y"], {}),
        ],
        inputs={"x": (1, 1, 16, 16)},
        outputs=["y"],
        constants={"w": np.ones((2, 1, 1, 1), np.float32)},
    )
    assert scored_ends(graph) == {"logits"}
    x = np.full((1, 1, 16, 16), -9, np.float32)
    x[0, 0, 4:6, 4:6] = 9
    places = places_that_matter(graph, [{"x": x}], run_one_thread)
    rows = places.rows(0, (1, 16, 16), 32)
    there = {row * 16 + column for row in (4, 5) for column in (4, 5)}
    assert there <= set(rows.tolist())
    assert len(set(rows.tolist())) == 32
    assert places.weights(0, (1, 16, 16)).mean() == pytest.approx(1)
    coarse = places.weights(0, (1, 8, 8)).reshape(8, 8)
    assert coarse[2, 2] > 10 * coarse[0, 0]


def test_without_scores_every_place_counts_alike() -> None:
    graph = network(("relu",), 0)
    places = places_that_matter(graph, feeds(graph, 2), run_one_thread)
    assert set(places.weights(0, (1, 12, 12))) == {1.0}


@settings(max_examples=6)
@given(networks, st.sampled_from([0.1, 0.3, 0.5]))
def test_after_all_rounds_it_is_known_which_channels_of_the_original_each_layer_has(graph: Graph, share: float) -> None:
    try:
        pruned = prune(graph, share=share, samples=feeds(graph, 6), execute=run_one_thread, multiple=2)
    except InputError:
        return
    assert pruned.report.share >= share
    for node in pruned.graph.nodes:
        if node.op in LAYERS:
            places = pruned.kept[node.output]
            assert len(places) == channels_of(pruned.graph, node)
            assert np.array_equal(places, np.unique(places)) and places[-1] < channels_of(graph, node)


def test_several_rounds_end_no_further_from_the_source_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = network(("relu", "residual", "depthwise", "relu"), 11)
    data = feeds(graph, 40)

    def error(rounds: int) -> float:
        monkeypatch.setattr("edgekit.converters.prune.rounds.ROUNDS", rounds)
        made = prune(graph, share=0.4, samples=data[:32], execute=run_one_thread, multiple=2).graph
        return error_of(graph, made, data[32:])

    assert error(3) <= 1.1 * error(1)
