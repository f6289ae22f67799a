"""Calibration: one pass, bounded memory, and a sentence for every kind of bad data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgekit.converters.graph import Graph
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.core.errors import ConversionError, InputError
from edgekit.core.progress import Event
from edgekit.runtimes.onnxruntime import execute

Feed = Mapping[str, NDArray[Any]]


@pytest.fixture
def graph(build: Callable[..., Graph]) -> Graph:
    nodes = [("Conv", ["x", "w"], ["c"], {"pads": [1, 1, 1, 1]}), ("Relu", ["c"], ["r"], {}), ("Shape", ["r"], ["s"], {})]
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    return build(nodes, inputs={"x": (1, 3, 8, 8)}, outputs=["r", "s"], constants={"w": weight})


def samples(count: int) -> list[dict[str, NDArray[np.float32]]]:
    random = np.random.default_rng(3)
    return [{"x": random.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(count)]


def test_every_float_activation_is_seen_and_no_other(graph: Graph) -> None:
    found = calibrate(graph, samples(9), execute)
    assert list(found.histograms) == ["x", "c", "r"]
    assert found.samples == 9
    assert found.histograms["r"].minimum == 0.0
    assert found.histograms["c"].maximum == found.histograms["r"].maximum
    assert found.notes == ()


def test_extremes_are_those_of_all_samples(graph: Graph) -> None:
    data = samples(9)
    seen = calibrate(graph, data, execute).histograms["x"]
    assert seen.minimum == min(float(sample["x"].min()) for sample in data)
    assert seen.maximum == max(float(sample["x"].max()) for sample in data)


def test_of_tensors_that_are_not_counted_the_extremes_are_known_all_the_same(graph: Graph) -> None:
    whole = calibrate(graph, samples(9), execute).histograms
    some = calibrate(graph, samples(9), execute, counted={"c"}).histograms
    assert some["c"].counts.tolist() == whole["c"].counts.tolist()
    assert some["r"].total < whole["r"].total
    assert all((some[name].minimum, some[name].maximum) == (whole[name].minimum, whole[name].maximum) for name in whole)


def test_a_small_budget_fetches_in_turns_and_finds_the_same(graph: Graph) -> None:
    models: list[bytes] = []

    def counting(model: bytes) -> Callable[[Feed], Feed]:
        models.append(model)
        return execute(model)

    whole = calibrate(graph, samples(8), execute)
    parts = calibrate(graph, samples(8), counting, budget_bytes=1)
    assert len(models) == 2
    assert [len(onnx.load_model_from_string(model).graph.output) for model in models] == [3, 2]
    assert {name: h.counts.tolist() for name, h in whole.histograms.items()} == {
        name: h.counts.tolist() for name, h in parts.histograms.items()
    }


def test_samples_may_be_a_generator_that_is_read_once_and_progress_is_told(graph: Graph) -> None:
    told: list[Event] = []

    def stream() -> Iterator[Feed]:
        yield from samples(8)

    assert calibrate(graph, stream(), execute, progress=told.append).samples == 8
    assert [event.done for event in told] == list(range(1, 9))


def test_the_hash_is_of_the_samples_and_their_order(graph: Graph) -> None:
    data = samples(8)
    first = calibrate(graph, data, execute).sha256
    assert first == calibrate(graph, samples(8), execute).sha256
    assert first != calibrate(graph, data[::-1], execute).sha256
    assert first != calibrate(graph, data[:7], execute).sha256


def test_few_different_samples_are_noted(graph: Graph) -> None:
    assert "2 different samples" in calibrate(graph, samples(2), execute).notes[0]
    assert "single sample" in calibrate(graph, samples(1) * 9, execute).notes[0]


def test_no_samples_is_an_error(graph: Graph) -> None:
    with pytest.raises(InputError, match="no calibration samples"):
        calibrate(graph, [], execute)


def test_constant_data_is_an_error_with_its_value(graph: Graph) -> None:
    data = [{"x": np.full((1, 3, 8, 8), 114.0, np.float32)}] * 3
    with pytest.raises(InputError, match="calibration data is constant: every value of all 3 samples is 114"):
        calibrate(graph, data, execute)


def test_a_few_samples_of_many_may_be_constant(graph: Graph) -> None:
    data = [{"x": np.full((1, 3, 8, 8), 114.0, np.float32)}] * 3
    assert calibrate(graph, data, execute, whole=False).histograms["x"].maximum == 114


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_values_that_are_not_finite_are_named_with_their_sample(graph: Graph, value: float, word: str) -> None:
    data = samples(3)
    data[2]["x"][0, 1, 2, 3] = value
    with pytest.raises(InputError, match=f"sample 2: input 'x' holds {word}"):
        calibrate(graph, data, execute)


def test_an_activation_that_overflows_is_named(build: Callable[..., Graph]) -> None:
    graph = build([("Exp", ["x"], ["e"], {}), ("Neg", ["e"], ["y"], {})], inputs={"x": (1, 4)}, outputs=["y"])
    with pytest.raises(InputError, match=r"sample 0: tensor '[ey]': it holds infinity"):
        calibrate(graph, [{"x": np.array([[1, 2, 3, 1000]], np.float32)}], execute)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"y": np.zeros((1, 3, 8, 8), np.float32)}, r"inputs \['y'\], the model needs \['x'\]"),
        ({"x": np.zeros((1, 3, 8, 9), np.float32)}, r"'x' has shape \(1, 3, 8, 9\), the model needs \(1, 3, 8, 8\)"),
        ({"x": np.zeros((1, 3, 8, 8), np.uint8)}, "'x' is uint8, the model needs float32"),
    ],
)
def test_samples_that_do_not_fit_the_inputs_are_refused(graph: Graph, sample: Feed, message: str) -> None:
    with pytest.raises(InputError, match=message):
        calibrate(graph, [sample], execute)


def test_another_graphs_calibration_is_refused_by_the_tensor_it_lacks(graph: Graph, build: Callable[..., Graph]) -> None:
    other = build([("Relu", ["x"], ["other"], {})], inputs={"x": (1, 3, 8, 8)}, outputs=["other"])
    with pytest.raises(ConversionError, match="'other' was not calibrated"):
        assign(other, calibrate(graph, samples(8), execute), scheme="tflite")


def test_a_first_sample_of_zeros_does_not_spoil_the_rest(graph: Graph) -> None:
    data = [{"x": np.zeros((1, 3, 8, 8), np.float32)}, *samples(8)]
    assert calibrate(graph, data, execute).histograms["c"].maximum > 1
