"""GridSample by arithmetic: the same values as ONNX Runtime's, wherever the grid points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.lower.tflite import legalise, lower
from edgekit.converters.quantize.floats.places import places
from edgekit.core.errors import Unsupported


def sampled(bench, *, batch=1, size=(6, 9), out=(4, 5), **attributes):
    """A graph that reads a picture at the places of a grid, both of them inputs."""
    inputs = {"x": (batch, 3, *size), "grid": (batch, *out, 2)}
    return bench.graph(inputs, [("GridSample", ["x", "grid"], ["y"], attributes)])


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("batch", [1, 2])
def test_it_agrees_inside_and_beyond_the_border(bench, mode, padding, corners, batch):
    graph = sampled(bench, batch=batch, mode=mode, padding_mode=padding, align_corners=corners)
    bench.check_float(graph, tolerance=1e-5)


@given(data=st.data())
@settings(max_examples=40)
def test_any_grid_is_read_as_onnx_reads_it(bench, data):
    size = (data.draw(st.integers(2, 9)), data.draw(st.integers(2, 9)))
    attributes = {
        "padding_mode": data.draw(st.sampled_from(["zeros", "border"])),
        "align_corners": data.draw(st.integers(0, 1)),
    }
    graph = sampled(bench, size=size, **attributes)
    legal = legalise(graph, edgetpu=False).graph
    feed = bench.feed(graph)
    reach = data.draw(st.floats(0.1, 4))
    feed["grid"] = np.random.default_rng(data.draw(st.integers(0, 99))).uniform(-reach, reach, (1, 4, 5, 2)).astype(np.float32)
    bench.compare(bench.onnx(legal, feed), bench.onnx(graph, feed), 1e-4)


def test_what_reckons_places_stays_in_float(bench):
    legal = legalise(sampled(bench), edgetpu=False).graph
    found = places(legal)
    gathers = [node for node in legal.nodes if node.op == "Gather"]
    assert len(gathers) == 4
    assert {node.op for node in legal.nodes if node.name in found} >= {"Slice", "Mul", "Add", "Max", "Floor", "Min", "Sub"}
    assert not {node.name for node in gathers} & found


@pytest.mark.parametrize("attributes", [{"mode": "bicubic"}, {"padding_mode": "reflection"}])
def test_other_kinds_are_refused_by_name(bench, attributes):
    legal = legalise(sampled(bench, **attributes), edgetpu=False).graph
    with pytest.raises(Unsupported, match="op GridSample at 'GridSample_0'"):
        lower(legal, precision="fp32", quantization=None, edgetpu=False)
