"""TensorRT where only its program is: a stand-in for trtexec that is a real process, builds files and computes in ONNX Runtime."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import SOURCE_OUT, answer, artifact, tiny_onnx

from edgekit.converters.lower.tensorrt_build import build_recipe, recipe_bytes
from edgekit.core.errors import DeviceError, MissingDependency, Unsupported
from edgekit.core.schema import Artifact
from edgekit.loading import open_artifact
from edgekit.runtimes import _trtexec, tensorrt
from edgekit.runtimes._trt_plan import BuildPlan
from edgekit.runtimes._trtexec import build_line, outputs, version_of

HELP_8_2 = "--workspace=N --buildOnly --fp16 --int8 --sparsity=spec --timingCacheFile=f"
HELP_10_3 = "--memPoolSize=spec --skipInference --stronglyTyped --layerPrecisions=spec --fp16 --int8 --timingCacheFile=f"

PROGRAM = '''#!{python}
"""Plays trtexec {version}: its banner, its help, its files, its JSON."""
import json, re, sys
from pathlib import Path
FOLDER = Path({folder!r})
print("&&&& RUNNING TensorRT.trtexec [TensorRT v{version}] # " + " ".join(sys.argv))
if "--help" in sys.argv:
    print("""{help}""")
    sys.exit(0)
said = dict(word.removeprefix("--").partition("=")[::2] for word in sys.argv[1:])
with (FOLDER / "calls").open("a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
mode = (FOLDER / "mode").read_text() if (FOLDER / "mode").exists() else ""
if mode == "fails":
    print("[E] Error[10]: Could not find any implementation for node conv")
    print("&&&& FAILED TensorRT.trtexec")
    sys.exit(1)
if "saveEngine" in said:
    if mode != "nothing":
        Path(said["saveEngine"]).write_bytes(b"engine of " + Path(said["onnx"]).read_bytes())
        Path(said["timingCacheFile"]).parent.mkdir(parents=True, exist_ok=True)
        Path(said["timingCacheFile"]).write_bytes(b"timings")
    sys.exit(0)
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(Path(said["loadEngine"]).read_bytes()[10:], providers=["CPUExecutionProvider"])
files = dict(part.split(":", 1) for part in said["loadInputs"].split(","))
feed = {{port.name: np.fromfile(files[port.name], np.float32).reshape(port.shape) for port in session.get_inputs()}}
found = []
for port, array in zip(session.get_outputs(), session.run(None, feed)):
    values = ", ".join("nan" if mode == "nan" else f"{{value:.6g}}" for value in array.ravel())
    found.append('{{ "name" : "%s"\\n  , "dimensions" : "%s"\\n  , "values" : [ %s ]\\n  }}' % (port.name, "x".join(map(str, array.shape)), values))
if mode != "silent":
    Path(said["exportOutput"]).write_text("[\\n  " + "\\n, ".join(found) + "\\n]\\n")
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where trtexec stands, alone: no Python binding is here."""
    for name in ("tensorrt", "cuda", "cuda.bindings", "cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(_trtexec, "JETPACK", tmp_path / "bin/trtexec")
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def play(folder: Path, version: str = "8201", help_text: str = HELP_8_2) -> None:
    program = folder / "trtexec"
    program.write_text(PROGRAM.format(python=sys.executable, version=version, folder=str(folder), help=help_text))
    program.chmod(0o755)


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


@pytest.fixture
def made(tmp_path: Path) -> Artifact:
    files = {"model.onnx": tiny_onnx(), "build.json": recipe_bytes(build_recipe("fp16", "8.2"))}
    return artifact(tmp_path / "tiny.jetson.fp16", files, "tensorrt", ("tensorrt", "onnxruntime"))


IMAGE = np.random.default_rng(5).uniform(-1, 1, (1, 3, 4, 4)).astype(np.float32)


def test_trtexec_builds_once_and_computes_the_model(folder: Path, made: Artifact, tmp_path: Path) -> None:
    play(folder)
    assert tensorrt.runtime.probe().version == "8.2.1 (trtexec: one process a run)"
    for sign in (1, -1):
        with open_artifact(made, runtime="tensorrt") as session:
            np.testing.assert_allclose(
                session.run({"image": sign * IMAGE})["scores"], answer(sign * IMAGE), rtol=1e-4, atol=1e-5
            )
    built, ran, again = calls(folder)
    assert f"--onnx={made.path / 'model.onnx'}" in built and "--fp16" in built and "--workspace=1024" in built
    assert "--buildOnly" in built, "trtexec was let measure what it built"
    assert "--iterations=1" in ran and any(word.startswith("--loadInputs=image:") for word in again)
    (engine,) = (tmp_path / "cache/edgekit/tensorrt").glob("*.engine")
    assert "trt8.2.1" in engine.name
    assert not [*tmp_path.glob("edgekit-trtexec-*")]


def test_nothing_of_a_session_is_left_on_the_disk(
    folder: Path, made: Artifact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    play(folder)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    session = tensorrt.runtime.load(made)
    session.run({"image": IMAGE})
    session.close()
    session.close()
    assert not [*(tmp_path / "scratch").iterdir()]
    with pytest.raises(DeviceError, match="closed"):
        session.run({"image": IMAGE})


@pytest.mark.parametrize(
    ("mode", "said"),
    [("fails", "could not build an engine .*FAILED"), ("nothing", "wrote no engine")],
)
def test_what_trtexec_does_not_build_is_a_device_error(
    folder: Path, made: Artifact, mode: str, said: str, tmp_path: Path
) -> None:
    play(folder)
    (folder / "mode").write_text(mode)
    with pytest.raises(DeviceError, match=said):
        tensorrt.runtime.load(made)
    assert not [*(tmp_path / "cache").rglob("*.engine")]


@pytest.mark.parametrize(("mode", "said"), [("fails", "could not run the engine"), ("silent", "wrote no outputs")])
def test_a_run_that_gives_no_answer_is_a_device_error(folder: Path, made: Artifact, mode: str, said: str) -> None:
    play(folder)
    with closing(tensorrt.runtime.load(made)) as session:
        (folder / "mode").write_text(mode)
        with pytest.raises(DeviceError, match=said):
            session.run({"image": IMAGE})


def test_not_a_number_is_read_as_what_it_is(folder: Path, made: Artifact) -> None:
    play(folder)
    with closing(tensorrt.runtime.load(made)) as session:
        (folder / "mode").write_text("nan")
        assert np.isnan(session.run({"image": IMAGE})["scores"]).all()


@pytest.mark.parametrize("feed", [{}, {"image": IMAGE[0]}])
def test_a_feed_that_does_not_fit_starts_no_process(folder: Path, made: Artifact, feed: Any) -> None:
    play(folder)
    with closing(tensorrt.runtime.load(made)) as session:
        before = len(calls(folder))
        with pytest.raises(DeviceError, match="'image' must be"):
            session.run(feed)
    assert len(calls(folder)) == before


def test_without_binding_and_program_both_reasons_are_said(folder: Path) -> None:
    probe = tensorrt.runtime.probe()
    assert not probe.ok
    assert "tensorrt" in probe.reason and "trtexec is not on this machine" in probe.reason
    assert probe.hint


def test_a_trtexec_too_old_to_read_quantized_files_is_passed_over(folder: Path) -> None:
    play(folder, version="7103")
    assert "TensorRT 7.1.3 is older than 8.0" in tensorrt.runtime.probe().reason


def test_a_program_that_does_not_say_its_version_is_no_trtexec(folder: Path) -> None:
    (folder / "trtexec").write_text("#!/bin/sh\necho hello\n")
    (folder / "trtexec").chmod(0o755)
    assert "does not say which TensorRT" in tensorrt.runtime.probe().reason


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v8201] # trtexec", "8.2.1"),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v8502] # trtexec", "8.5.2"),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b26]", "10.3.0"),
        ("[TensorRT v101602]", "10.16.2"),
        ("[TensorRT v8.6.1]", "8.6.1"),
    ],
)
def test_the_version_is_in_the_banner(banner: str, version: str) -> None:
    assert version_of(banner) == version


def plan(**changed: Any) -> BuildPlan:
    return BuildPlan(**{"typing": "weak", "flags": ("FP16", "INT8"), "workspace_bytes": 1 << 30, **changed})


@pytest.mark.parametrize(
    ("help_text", "made", "there", "absent"),
    [
        (HELP_8_2, plan(), {"--fp16", "--int8", "--workspace=1024", "--buildOnly"}, {"--stronglyTyped"}),
        (HELP_10_3, plan(), {"--memPoolSize=workspace:1024", "--skipInference"}, {"--workspace=1024", "--buildOnly"}),
        (HELP_10_3, plan(typing="strong", flags=()), {"--stronglyTyped"}, {"--fp16", "--int8"}),
        (HELP_10_3, plan(dla_core=1), {"--useDLACore=1", "--allowGPUFallback"}, set()),
        (HELP_10_3, plan(float32_layers=("a", "b")), {"--layerPrecisions=a:fp32,b:fp32", "--precisionConstraints=obey"}, set()),
        (HELP_8_2, plan(float32_layers=("a",)), set(), {"--layerPrecisions=a:fp32", "--precisionConstraints=obey"}),
        (HELP_8_2, plan(flags=("SPARSE_WEIGHTS",)), {"--sparsity=enable"}, set()),
    ],
    ids=["8.2", "10.3", "strong", "accelerator", "pinned", "pinned in 8.2", "sparse"],
)
def test_the_command_line_has_the_options_this_release_knows(
    help_text: str, made: BuildPlan, there: set[str], absent: set[str]
) -> None:
    line = build_line("trtexec", help_text, made, "model.onnx", Path("m.engine"), Path("t.cache"))
    assert there <= set(line) and not absent & set(line)
    assert {"--onnx=model.onnx", "--saveEngine=m.engine", "--timingCacheFile=t.cache"} <= set(line)


def test_layers_it_cannot_keep_in_float32_are_said(caplog: pytest.LogCaptureFixture) -> None:
    build_line("trtexec", HELP_8_2, plan(float32_layers=("a", "b")), "m", Path("e"), Path("t"))
    assert "cannot keep 2 layers in float32" in caplog.text


def test_an_input_that_cannot_be_named_to_trtexec_is_unsupported(folder: Path, made: Artifact) -> None:
    import msgspec

    play(folder)
    port = made.manifest.inputs[0]
    odd = msgspec.structs.replace(port, engine=msgspec.structs.replace(port.engine, name="a,b"))
    strange = msgspec.structs.replace(made, manifest=msgspec.structs.replace(made.manifest, inputs=(odd,)))
    with pytest.raises(Unsupported, match="'a,b'"):
        tensorrt.runtime.load(strange)


def test_a_program_that_is_absent_is_a_missing_dependency(folder: Path) -> None:
    with pytest.raises(MissingDependency, match="trtexec is not on this machine"):
        _trtexec.find()


@given(
    st.binary(max_size=200)
    | st.sampled_from([b"[]", b"{}", b"[1]", b'[{"name": "scores", "dimensions": "1", "values": [1]}]', b"[" * 9000])
)
def test_whatever_stands_in_the_answer_it_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(DeviceError):
        outputs(data, (SOURCE_OUT,))


def test_infinity_is_read_with_its_sign() -> None:
    values = ", ".join(["-inf", "inf", "nan", *["1e-05"] * 29])
    data = f'[ {{ "name" : "scores", "dimensions" : "1x2x4x4", "values" : [ {values} ] }} ]'.encode()
    found = outputs(data, (SOURCE_OUT,))["scores"].ravel()
    assert found[0] == -np.inf and found[1] == np.inf and np.isnan(found[2]) and found[3] == np.float32(1e-5)
