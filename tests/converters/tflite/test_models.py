"""Four trained detectors as TFLite: the same numbers, no data moved in vain, no larger than they must be."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.converters.importers.onnx.file import load
from edgekit.converters.lower.tflite import legalise, lower
from edgekit.converters.lower.tflite.lower import emit

# largest pixel value the model was trained on, and how many TRANSPOSE and RESHAPE operators a person would write
MODELS = {
    "yolox_nano": (255.0, 0, 3),
    "fastestdet": (1.0, 0, 0),
    "yunet_n_640_640": (255.0, 0, 12),
    "ultraface_version-RFB-320": (1.0, 0, 8),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request, shared_data, bench):
    path = shared_data / "models_onnx" / f"{request.param}.onnx"
    graph = load(path).graph
    peak = MODELS[request.param][0]
    feed = {spec.name: np.random.default_rng(1).uniform(0, peak, spec.shape).astype(np.float32) for spec in graph.inputs}
    return request.param, graph, feed, bench.onnx(graph, feed)


@pytest.mark.parametrize("edgetpu", [False, True])
def test_a_real_model_in_float_says_what_onnx_runtime_says(model, bench, edgetpu):
    _, graph, feed, expected = model
    legal = legalise(graph, edgetpu=edgetpu).graph
    lowered = lower(legal, precision="fp32", quantization=None, edgetpu=edgetpu)
    bench.compare(bench.tflite(lowered, feed), expected, 1e-4)


def test_a_real_model_with_half_precision_weights_is_half_the_size_and_near(model, bench):
    _, graph, feed, expected = model
    legal = legalise(graph, edgetpu=False).graph
    whole, half = (lower(legal, precision=p, quantization=None, edgetpu=False) for p in ("fp32", "fp16"))
    assert len(half.files["model.tflite"]) < 0.6 * len(whole.files["model.tflite"])
    bench.compare(bench.tflite(half, feed), expected, 2e-2)


def test_no_real_model_transposes_anything(model):
    name, graph, _, _ = model
    program, plan = emit(legalise(graph, edgetpu=False).graph, precision="fp32", quantization=None)
    assert (program.count("TRANSPOSE"), program.count("RESHAPE")) == MODELS[name][1:]
    assert plan.cost == 0


def test_a_real_models_file_is_little_more_than_its_weights(model):
    _, graph, _, _ = model
    legal = legalise(graph, edgetpu=False).graph
    lowered = lower(legal, precision="fp32", quantization=None, edgetpu=False)
    weights = sum(value.nbytes for value in legal.constants.values() if value.dtype == np.float32)
    assert len(lowered.files["model.tflite"]) < weights + 400 * len(legal.nodes) + 20_000


def test_a_real_model_in_integers_has_no_needless_conversions(model, bench):
    _, graph, feed, expected = model
    legal = legalise(graph, edgetpu=True).graph
    quantization = bench.quantize(legal, feed)
    program, _ = emit(legal, precision="int8", quantization=quantization)
    joins = sum(len(operator.inputs) for operator in program.operators if operator.name == "CONCATENATION")
    assert program.count("QUANTIZE") <= joins
    lowered = lower(legal, precision="int8", quantization=quantization, edgetpu=True)
    found = bench.tflite(lowered, feed)
    assert all(found[key].shape == value.shape for key, value in expected.items())
