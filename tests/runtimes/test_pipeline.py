"""Segments of a model as one session: the same answers as the whole, all of them busy at once, and one that fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from segments import SEGMENTS, WHOLE
from tiny import artifact

from edgekit.core.errors import ArtifactError, DeviceError
from edgekit.core.schema import TensorSpec
from edgekit.runtimes import litert
from edgekit.runtimes._pipeline import Pipeline, linked
from edgekit.runtimes.base import Arrays, Session


def opened(folder: Path, *models: bytes) -> list[Session]:
    pytest.importorskip("ai_edge_litert")
    made = [artifact(folder / f"a{n}", {"model.tflite": data}, "tflite", ("litert",)) for n, data in enumerate(models)]
    return [litert.runtime.load(each) for each in made]


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    made = Pipeline(opened(tmp_path / "parts", *SEGMENTS))
    yield made
    made.close()


def feeds(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(7)
    return [{"image": rng.uniform(-1, 1, (1, 4, 4, 3)).astype(np.float32)} for _ in range(count)]


def test_segments_in_litert_give_what_the_whole_model_gives(pipeline: Pipeline, tmp_path: Path) -> None:
    (whole,) = opened(tmp_path / "whole", WHOLE)
    for feed in feeds(3):
        np.testing.assert_array_equal(pipeline.run(feed)["sum"], whole.run(feed)["sum"])


def test_a_pipeline_takes_the_model_s_inputs_and_gives_its_outputs(pipeline: Pipeline) -> None:
    assert [spec.name for spec in pipeline.inputs] == ["image"]
    assert [spec.name for spec in pipeline.outputs] == ["sum"]


def test_a_stream_gives_the_answers_in_order(pipeline: Pipeline) -> None:
    given = feeds(20)
    for feed, found in zip(given, pipeline.stream(iter(given)), strict=True):
        np.testing.assert_array_equal(found["sum"], pipeline.run(feed)["sum"])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_a_stream_of_few_is_whole(pipeline: Pipeline, count: int) -> None:
    assert len(list(pipeline.stream(feeds(count)))) == count


def spec(name: str) -> TensorSpec:
    return TensorSpec(name=name, shape=(1,), dtype="float32")


class Part:
    """A segment that does what the test says, and adds one."""

    def __init__(self, into: str, out: str, does: Any = lambda value: None) -> None:
        self.inputs, self.outputs, self._into, self._out, self._does = (spec(into),), (spec(out),), into, out, does
        self.closed = False

    def run(self, feed: Arrays) -> Arrays:
        self._does(float(feed[self._into][0]))
        return {self._out: feed[self._into] + 1}

    def close(self) -> None:
        self.closed = True


def numbers(count: int) -> list[dict[str, np.ndarray]]:
    return [{"a": np.array([n], np.float32)} for n in range(count)]


def test_while_one_segment_computes_the_one_before_takes_the_next_input() -> None:
    both = threading.Barrier(2, timeout=10)  # only passed when both are inside at once
    first = Part("a", "b", lambda value: both.wait() if value >= 1 else None)
    second = Part("b", "c", lambda value: both.wait() if value <= 3 else None)
    assert [float(found["c"][0]) for found in Pipeline([first, second]).stream(numbers(4))] == [2, 3, 4, 5]


def breaks(value: float) -> None:
    if value == 3:
        raise DeviceError("too hot")


def test_a_segment_that_fails_ends_the_stream_where_its_answer_would_have_come() -> None:
    found = Pipeline([Part("a", "b"), Part("b", "c", breaks)]).stream(numbers(9))
    assert [float(next(found)["c"][0]) for _ in range(2)] == [2, 3]
    with pytest.raises(DeviceError, match="too hot"):
        next(found)
    with pytest.raises(StopIteration):
        next(found)


def test_a_feed_that_fails_is_the_reader_s_error_and_the_answers_before_it_came() -> None:
    def broken() -> Iterator[dict[str, np.ndarray]]:
        yield from numbers(5)
        raise ValueError("camera gone")

    found = []
    with pytest.raises(ValueError, match="camera gone"):
        found.extend(Pipeline([Part("a", "b"), Part("b", "c")]).stream(broken()))


def test_a_stream_that_is_left_early_leaves_no_thread() -> None:
    before = threading.active_count()
    stream = Pipeline([Part("a", "b"), Part("b", "c")]).stream(numbers(50))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_closing_closes_every_segment() -> None:
    parts = [Part("a", "b"), Part("b", "c")]
    Pipeline(parts).close()
    assert all(part.closed for part in parts)


def test_segments_that_mean_different_tensors_by_a_name_are_refused() -> None:
    wrong = Part("b", "c")
    wrong.inputs = (TensorSpec(name="b", shape=(2,), dtype="float32"),)
    with pytest.raises(ArtifactError, match=r"segment 1 takes 'b' as float32 \[2\], but it is float32 \[1\]"):
        linked([Part("a", "b"), wrong])


def test_coral_s_own_segments_are_linked_by_name(shared_data: Path) -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")

    def ports(number: int) -> Any:
        name = f"ssd_mobilenet_v2_coco_quant_postprocess_segment_{number}_of_2_edgetpu.tflite"
        graph = schema.ModelT.InitFromObj(schema.Model.GetRootAs((shared_data / "models_coral" / name).read_bytes())).subgraphs[
            0
        ]
        part = Part("", "")
        sides = [[graph.tensors[index] for index in side] for side in (graph.inputs, graph.outputs)]
        part.inputs, part.outputs = (
            tuple(TensorSpec(name=t.name.decode(), shape=tuple(map(int, t.shape)), dtype=str(t.type)) for t in side)
            for side in sides
        )
        return part

    inputs, outputs = linked([ports(0), ports(1)])
    assert [each.name for each in inputs] == ["normalized_input_image_tensor"]
    assert [each.name.partition(":")[0] for each in outputs] == ["TFLite_Detection_PostProcess"] * 4
