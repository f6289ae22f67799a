"""What rounding chosen tensors does at the heads is measured, not guessed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgekit.converters.graph import Graph
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.mend.heads import noise, places_of
from edgekit.converters.quantize.mend.probe import Probe, held_back
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.runtimes.onnxruntime import execute

RANDOM = np.random.default_rng(3)
FEEDS = [{"x": RANDOM.uniform(0, 1, (1, 4096)).astype(np.float32)} for _ in range(4)]


@pytest.fixture
def probe(build: Callable[..., Graph]) -> Probe:
    """x -> Relu -> a -> Relu -> y, and x -> Relu -> b -> Relu -> z: what is rounded in one branch does not reach the other."""
    nodes = [
        ("Relu", ["x"], ["a"], {}),
        ("Relu", ["a"], ["y"], {}),
        ("Relu", ["x"], ["b"], {}),
        ("Relu", ["b"], ["z"], {}),
    ]
    graph = build(nodes, inputs={"x": (1, 4096)}, outputs=["y", "z"])
    quantization = assign(graph, calibrate(graph, FEEDS, execute), scheme="tflite")
    return Probe(graph=graph, quantization=quantization, samples=FEEDS, execute=execute)


def test_uniform_values_over_255_steps_are_as_noisy_as_theory_says(probe: Probe) -> None:
    """Noise step^2 / 12 over variance 1 / 12, with step 1 / 255, at one of two heads."""
    assert probe.noise_of(["a"]) == pytest.approx(255.0**-2 / 2, rel=0.05)


def test_the_noise_of_a_step_twice_as_wide_is_four_times_as_loud(probe: Probe) -> None:
    wide = {"a": replace(probe.quantization.activations["a"], scale=2 * probe.quantization.activations["a"].scale)}
    assert probe.noise(wide) == pytest.approx(4 * probe.noise_of(["a"]), rel=0.05)


def test_noise_in_separate_branches_adds_up(probe: Probe) -> None:
    assert probe.noise_of(["a", "b"]) == pytest.approx(probe.noise_of(["a"]) + probe.noise_of(["b"]), rel=1e-6)


def test_nothing_rounded_is_no_noise(probe: Probe) -> None:
    assert probe.noise_of([]) == 0
    assert probe.noise_of(["no such tensor"]) == 0


def test_starting_where_the_rounded_tensors_are_hears_what_the_whole_graph_hears(probe: Probe) -> None:
    """In whatever order the questions come."""
    known = probe.quantization.activations
    for name in ("b", "a", "x", "z", "y"):
        assert probe.noise_of([name]) == pytest.approx(probe.noise({name: known[name]}), rel=1e-6)


def test_a_rounded_weight_is_heard_from_its_first_reader_on(build: Callable[..., Graph]) -> None:
    kernel = RANDOM.normal(size=(4096, 4)).astype(np.float32)
    nodes = [("Relu", ["x"], ["a"], {}), ("MatMul", ["a", "w"], ["y"], {})]
    graph = build(nodes, inputs={"x": (1, 4096)}, outputs=["y"], constants={"w": kernel})
    quantization = assign(graph, calibrate(graph, FEEDS, execute), scheme="ort-x86")
    probe = Probe(graph=graph, quantization=quantization, samples=FEEDS, execute=execute)
    assert probe.noise_of(["w"]) == pytest.approx(probe.noise({}, {"w": quantization.weights["w"]}), rel=1e-6)
    assert probe.noise_of(["w"]) > 0


@pytest.mark.parametrize(("count", "judging"), [(0, 0), (1, 0), (2, 1), (6, 2), (12, 4)])
def test_a_third_of_the_samples_is_held_back_and_never_the_only_one(count: int, judging: int) -> None:
    samples = [{"x": np.full(1, index)} for index in range(count)]
    learnt, held = held_back(samples)
    assert [*learnt, *held] == samples
    assert len(held) == judging


def test_what_is_wrong_where_the_network_sees_something_counts_more(build: Callable[..., Graph]) -> None:
    """Of two roundings that err alike over the whole picture, the one that errs where nothing is seen is heard less."""
    nodes = [("Conv", ["x", "w"], ["score"], {}), ("Sigmoid", ["score"], ["sure"], {}), ("Conv", ["x", "v"], ["box"], {})]
    weights = {"w": np.ones((1, 1, 1, 1), np.float32), "v": np.ones((1, 1, 1, 1), np.float32)}
    graph = build(nodes, inputs={"x": (1, 1, 4, 4)}, outputs=["sure", "box"], constants=weights)
    picture = np.full((1, 1, 4, 4), -9.0, np.float32)
    picture[0, 0, 1, 2] = 9.0
    (counted,) = places_of(graph, ["score", "box"], [{"x": picture}], execute)
    exact = [picture.astype(np.float64)] * 2
    seen, unseen = picture.copy(), picture.copy()
    seen[0, 0, 1, 2] += 1
    unseen[0, 0, 0, 0] += 1
    loud, quiet = (noise([exact], [[given, given]], [counted]) for given in (seen, unseen))
    assert loud > 5 * quiet > 0
    assert noise([exact], [[seen, seen]]) == pytest.approx(noise([exact], [[unseen, unseen]]))


def test_a_head_may_be_a_single_number() -> None:
    """A network's energy, its loss: an output without dimensions."""
    exact, given = ([np.float32(value)] for value in (1.0, 3.0)), ([np.float32(value)] for value in (1.5, 3.5))
    assert noise(list(exact), list(given)) == pytest.approx(0.25)
