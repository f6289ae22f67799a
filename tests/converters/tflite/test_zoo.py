"""Exporters' graphs of every family, weights seeded: same numbers in float, runs in int8, and moves no more data than a person would."""

from __future__ import annotations

import importlib.util

import numpy as np
import onnx
import pytest

from edgekit.converters.importers.onnx.file import load
from edgekit.converters.lower.tflite import legalise, lower
from edgekit.converters.lower.tflite.lower import emit
from edgekit.converters.optimise import optimise
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.observe.calibrate import calibrate

# the most TRANSPOSE operators that may be written: attention moves heads in and out of every block, windows too
TRANSPOSES = {
    "bert_tiny": 8,
    "dcgan": 0,
    "dueling_dqn": 0,
    "lstm": 0,
    "lstm_dyn": 0,
    "ppo_mlp": 0,
    "timm_deit_tiny_dyn": 24,
    "timm_deit_tiny_patch16_224": 24,
    "timm_efficientnet_lite0": 0,
    "timm_mobilenetv1_100": 0,
    "timm_swin_tiny_patch4_window7_224": 47,
    "tv_convnext_tiny": 0,
    "tv_efficientnet_b0": 0,
    "tv_googlenet": 0,
    "tv_lraspp_mbv3": 0,
    "tv_mnasnet": 0,
    "tv_mobilenet_v2": 0,
    "tv_mobilenet_v2_dyn": 0,
    "tv_mobilenet_v3_small": 0,
    "tv_resnet18": 0,
    "tv_resnet18_dyn": 0,
    "tv_resnet50": 0,
    "tv_shufflenet": 0,
    "tv_squeezenet": 0,
    "unet": 0,
    "vae_dec": 0,
    "yolo11n": 7,
    "yolov5n": 2,
    "yolov8n-cls": 0,
    "yolov8n-seg": 2,
    "yolov8n": 2,
}
QUICK = ("bert_tiny", "dcgan", "dueling_dqn", "lstm", "lstm_dyn", "ppo_mlp", "tv_shufflenet", "unet", "vae_dec")
MODELS = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in TRANSPOSES]


@pytest.fixture(scope="module", params=MODELS)
def model(request, shared_data, tmp_path_factory):
    zoo = shared_data.parent / "zoo"
    if not zoo.is_dir():
        pytest.skip("the folder of exporters' graphs is not here")
    spec = importlib.util.spec_from_file_location("fill", zoo / "fill.py")
    filler = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(filler)
    path = tmp_path_factory.mktemp("zoo") / f"{request.param}.onnx"
    onnx.save(filler.fill(str(zoo / path.name)), path)
    return request.param, optimise(load(path).graph)


def feed(graph, seed):
    """Pixels for pictures, words for integers, anything else normal."""
    rng = np.random.default_rng(seed)
    made = {}
    for spec in graph.inputs:
        if not spec.dtype.startswith("float"):
            made[spec.name] = rng.integers(0, 2, spec.shape).astype(spec.dtype)
        else:
            values = rng.uniform(size=spec.shape) if len(spec.shape) == 4 else rng.normal(size=spec.shape)
            made[spec.name] = values.astype(np.float32)
    return made


def test_every_family_says_in_float_what_onnx_runtime_says(model, bench):
    _, graph = model
    lowered = lower(legalise(graph, edgetpu=False).graph, precision="fp32", quantization=None, edgetpu=False)
    bench.compare(bench.tflite(lowered, feed(graph, 0)), bench.onnx(graph, feed(graph, 0)), 1e-5)


def test_no_family_transposes_more_than_a_person_would(model):
    name, graph = model
    program, _ = emit(legalise(graph, edgetpu=False).graph, precision="fp32", quantization=None)
    assert program.count("TRANSPOSE") <= TRANSPOSES[name]


def test_every_family_runs_in_int8(model, bench):
    """With random weights no accuracy can be asked for; what must hold is that the file loads, runs and gives numbers."""
    _, graph = model
    legal = legalise(graph, edgetpu=False).graph
    calibration = calibrate(legal, [feed(graph, seed) for seed in (1, 2)], executor)
    quantization = assign(legal, calibration, scheme="tflite")
    found = bench.tflite(lower(legal, precision="int8", quantization=quantization, edgetpu=False), feed(graph, 1))
    assert all(np.isfinite(value).all() and value.shape == graph.shape(name) for name, value in found.items())


def executor(data):
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda given: dict(zip(names, session.run(names, given), strict=True))
