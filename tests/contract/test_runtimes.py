"""What every runtime promises, whoever wrote it: one test per promise, run for every runtime there is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from mediapipe_files import classifier
from tiny import IN_SCALE, OUT_SCALE, answer, tiny_artifact

from edgekit.core.errors import DeviceError
from edgekit.core.schema import Artifact
from edgekit.loading import open_artifact
from edgekit.runtimes import registry
from edgekit.runtimes.base import Runtime, Session, takes

VENDORS = ("onnxruntime", "ai_edge_litert", "tflite_runtime", "tensorrt", "cuda", "onnx", "torch", "cv2", "mediapipe")
KINDS = {
    "onnx": "onnx",
    "tensorrt": "tensorrt",
    "tflite": "tflite",
    "tflite-int8": "tflite",
    "edgetpu": "edgetpu",
    "mediapipe": "mediapipe",
}
"""Tiny artifacts and their formats. The Edge TPU's own runtime is left out: only its compiler can make what it loads."""
PAIRS = [
    (name, kind) for name in registry.names() for kind in KINDS if takes(registry.get(name), KINDS[kind]) and name != "edgetpu"
]
IMAGE = np.random.default_rng(0).uniform(-1.5, 1.5, (1, 3, 4, 4)).astype(np.float32)


@pytest.fixture(params=registry.names())
def runtime(request: pytest.FixtureRequest) -> Runtime[Session]:
    return registry.get(request.param)


def where_it_works(name: str) -> Runtime[Session]:
    """The runtime; the test is skipped where it does not work."""
    runtime = registry.get(name)
    probe = runtime.probe()
    if not probe.ok:
        pytest.skip(probe.reason)
    return runtime


def made(folder: Path, kind: str) -> Artifact:
    """A tiny artifact of that kind."""
    return classifier(folder) if kind == "mediapipe" else tiny_artifact(folder, kind)


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Artifact, Session]]:
    """A tiny artifact of a format the runtime takes, and a session of it, which the tests use one after the other."""
    name, kind = request.param
    artifact = made(tmp_path_factory.mktemp(kind), kind)
    session = where_it_works(name).load(artifact)
    yield artifact, session
    session.close()


def engine_feed(session: Session) -> dict[str, np.ndarray]:
    return {spec.name: np.ones(spec.shape, spec.dtype) for spec in session.inputs}


@pytest.mark.parametrize("name", registry.built_in())
def test_a_runtime_is_called_as_its_file(name: str) -> None:
    assert registry.get(name).name == name
    assert Path(import_module(f"edgekit.runtimes.{name}").__file__ or "").stem == name


def test_a_runtime_says_which_formats_it_takes(runtime: Runtime[Session]) -> None:
    assert runtime.formats
    assert all(isinstance(name, str) and name for name in runtime.formats)


def test_probing_answers_with_a_version_or_with_a_reason_and_a_hint(runtime: Runtime[Session]) -> None:
    probe = runtime.probe()
    if probe.ok:
        assert probe.version and not probe.reason
    else:
        assert probe.reason and probe.hint


BARE = """
import sys
for vendor in {vendors!r}:
    sys.modules[vendor] = None
from edgekit.runtimes import registry
runtime = registry.get({name!r})
probe = runtime.probe()
assert {name!r} == "dryrun" or (not probe.ok and probe.reason and probe.hint), probe
print("ok")
"""


@pytest.mark.parametrize("name", registry.built_in())
def test_a_runtime_imports_and_probes_without_any_vendor_package(name: str) -> None:
    script = BARE.format(vendors=VENDORS, name=name)
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "ok\n", done.stderr


def test_a_run_gives_the_declared_names_shapes_and_types(opened: tuple[Artifact, Session]) -> None:
    artifact, session = opened
    outputs = session.run(engine_feed(session))
    declared = {port.engine.name: port.engine for port in artifact.manifest.outputs}
    assert outputs.keys() == declared.keys() == {spec.name for spec in session.outputs}
    for name, array in outputs.items():
        assert (array.shape, array.dtype.name) == (declared[name].shape, declared[name].dtype)


def test_a_session_declares_the_tensors_of_the_manifest(opened: tuple[Artifact, Session]) -> None:
    artifact, session = opened
    for ports, specs in ((artifact.manifest.inputs, session.inputs), (artifact.manifest.outputs, session.outputs)):
        assert [(port.engine.name, port.engine.shape, port.engine.dtype) for port in ports] == [
            (spec.name, spec.shape, spec.dtype) for spec in specs
        ]


def test_the_same_input_twice_gives_the_same_output_and_leaves_the_first_alone(opened: tuple[Artifact, Session]) -> None:
    _, session = opened
    feed = engine_feed(session)
    first = session.run(feed)
    kept = {name: array.copy() for name, array in first.items()}
    session.run({name: array * 2 for name, array in feed.items()})
    again = session.run(feed)
    for name, array in kept.items():
        np.testing.assert_array_equal(first[name], array)
        np.testing.assert_array_equal(again[name], array)


def test_the_feed_is_not_changed(opened: tuple[Artifact, Session]) -> None:
    _, session = opened
    feed = engine_feed(session)
    session.run(feed)
    assert all((array == 1).all() for array in feed.values())


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_closing_twice_is_fine_and_running_afterwards_is_a_device_error(name: str, kind: str, tmp_path: Path) -> None:
    session = where_it_works(name).load(made(tmp_path, kind))
    feed = engine_feed(session)
    session.close()
    session.close()
    with pytest.raises(DeviceError, match="closed"):
        session.run(feed)


# MediaPipe's answers are no tensors of the model: tests/runtimes/test_mediapipe.py holds them to LiteRT's.
@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if pair[0] != "dryrun" and pair[1] != "mediapipe"])
def test_every_runtime_that_computes_agrees_with_the_model(name: str, kind: str, tmp_path: Path) -> None:
    where_it_works(name)
    with open_artifact(tiny_artifact(tmp_path, kind), runtime=name) as session:
        scores = session.run({"image": IMAGE})["scores"]
    quantized = kind in ("tflite-int8", "edgetpu")
    # Three weights below 2.5, each input off by half a step at most, then half a step of the output.
    tolerance = 3 * 2.5 * IN_SCALE / 2 + OUT_SCALE if quantized else 1e-5
    np.testing.assert_allclose(scores, answer(IMAGE), atol=tolerance)


def test_all_engines_that_are_here_agree_on_the_same_model(tmp_path: Path) -> None:
    answers = {}
    for name, kind in PAIRS:
        if name != "dryrun" and kind in ("onnx", "tflite") and registry.get(name).probe().ok:
            with open_artifact(tiny_artifact(tmp_path / name, kind), runtime=name) as session:
                answers[name] = session.run({"image": IMAGE})["scores"]
    assert {"onnxruntime", "litert"} <= set(answers)
    for name, found in answers.items():
        np.testing.assert_allclose(found, answers["onnxruntime"], atol=1e-5, err_msg=name)
