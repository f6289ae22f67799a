"""The Edge TPU's runtime with delegates that work, crash and hang. No accelerator is used: the delegates are a C file here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from segments import SEGMENTS, WHOLE
from tiny import answer, artifact, tiny_tflite

from edgekit.core.errors import ArtifactError, DeviceError, MissingDependency, NotFound, UsageError
from edgekit.core.schema import Artifact
from edgekit.runtimes import edgetpu, litert, registry

SOURCE = Path(__file__).with_name("delegate.c")
IMAGE = np.random.default_rng(1).uniform(-1.5, 1.5, (1, 4, 4, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The delegate's library."""
    pytest.importorskip("ai_edge_litert")
    return built(tmp_path_factory.mktemp("delegate") / "libedgetpu.so.1")


def built(library: Path, *options: str, source: Path = SOURCE) -> Path:
    """A library of a C file."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler to make a delegate with")
    subprocess.run([compiler, *options, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


@pytest.fixture
def compiled(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """An artifact whose "compiled" model is an ordinary one, which a delegate that takes no operator leaves to the CPU."""
    monkeypatch.setattr(edgetpu, "LIBRARY", str(library))
    model = tiny_tflite(quantized=False)
    files = {"model.tflite": model, "model_edgetpu.tflite": model}
    return artifact(tmp_path / "a", files, "edgetpu", ("edgetpu", "litert"))


def test_a_model_runs_through_the_delegate_in_another_process(compiled: Artifact) -> None:
    assert edgetpu.runtime.probe().ok
    session = edgetpu.runtime.load(compiled)
    try:
        (name,) = (spec.name for spec in session.inputs)
        (found,) = session.run({name: IMAGE}).values()
    finally:
        session.close()
    np.testing.assert_allclose(found, answer(IMAGE.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1), rtol=1e-5)


def test_two_accelerators_serve_two_sessions(compiled: Artifact) -> None:
    sessions = [registry.get(f"edgetpu@{device}").load(compiled) for device in ("usb:0", "pci:0")]
    for sign, session in zip((1, -1), sessions, strict=True):
        (name,) = (spec.name for spec in session.inputs)
        (found,) = session.run({name: sign * IMAGE}).values()
        np.testing.assert_allclose(found, answer(sign * IMAGE.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1), rtol=1e-5)
        session.close()


@pytest.mark.parametrize("device", ["", "usb", "pci", ":1", "usb:0", "pci:2"])
def test_what_is_asked_of_the_delegate_is_what_coral_documents(
    compiled: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """libedgetpu (tflite/edgetpu_delegate_for_custom_op_tflite_plugin.cc): one option, "device", which is "usb" or "pci" and a number
    after a colon, each of which may be absent; without it any accelerator is taken. What was created is destroyed, once."""
    calls = tmp_path / "calls"
    monkeypatch.setattr(edgetpu, "LIBRARY", str(built(tmp_path / "libedgetpu.so.1", f'-DRECORD="{calls}"')))
    session = registry.get(f"edgetpu@{device}" if device else "edgetpu").load(compiled)
    assert calls.read_text().splitlines() == [
        "dlopen ",  # the look whether it loads, in a process that ends at once
        "dlopen ",
        "create with an error handler",
        *([f"device {device}"] if device else []),
        "prepare the one made",
    ]
    session.run({session.inputs[0].name: IMAGE})
    session.close()
    assert calls.read_text().splitlines()[-2:] == ["prepare the one made", "destroy the one made"]


@pytest.mark.parametrize("device", ["usb:1", "usb:4"], ids=["while it is made", "while the model is prepared"])
def test_a_delegate_that_aborts_is_an_error_and_not_the_end_of_this_process(compiled: Artifact, device: str) -> None:
    with pytest.raises(DeviceError, match="its process was killed by SIGABRT while opening the model") as caught:
        registry.get(f"edgetpu@{device}").load(compiled)
    assert "plug it in again" in caught.value.hint


def test_the_last_words_of_a_driver_are_in_the_error(compiled: Artifact) -> None:
    with pytest.raises(DeviceError, match=r"\(driver on fire\)"):
        registry.get("edgetpu@usb:1").load(compiled)


def test_a_delegate_that_hangs_is_ended_at_its_deadline(compiled: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgetpu, "START_S", 3.0)
    with pytest.raises(DeviceError, match="opening the model was not done after 3 s, and its process was ended"):
        registry.get("edgetpu@usb:2").load(compiled)


def test_an_accelerator_that_is_not_there_says_so_with_its_name(compiled: Artifact) -> None:
    with pytest.raises(DeviceError, match="could not open the accelerator usb:3") as caught:
        registry.get("edgetpu@usb:3").load(compiled)
    assert "plugged in" in caught.value.hint


def test_a_library_that_crashes_while_it_is_loaded_does_not_take_the_probe_along(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "falls.c"
    source.write_text("#include <stdlib.h>\n__attribute__((constructor)) static void falls(void) { abort(); }\n")
    monkeypatch.setattr(edgetpu, "LIBRARY", str(built(tmp_path / "libedgetpu.so.1", source=source)))
    probe = edgetpu.runtime.probe()
    assert not probe.ok
    assert "SIGABRT" in probe.reason


@pytest.mark.parametrize("device", ["usb", "pci", "usb:0", "pci:12", ":1"])
def test_a_device_is_named_after_the_runtime(device: str) -> None:
    assert registry.get(f"edgetpu@{device}").name == f"edgetpu@{device}"


@pytest.mark.parametrize(
    "device", ["", "usb:", "gpu:0", "usb:0 ", "usb:0\n", "usb:-1", "usb:99999", "@", "usb:0,", ",", "usb:0,x"]
)
def test_what_names_no_device_is_refused(device: str) -> None:
    with pytest.raises(UsageError, match="no Edge TPU is called") as caught:
        registry.get(f"edgetpu@{device}")
    assert "edgetpu@usb:0" in caught.value.hint


def test_a_runtime_without_a_choice_of_devices_says_so() -> None:
    with pytest.raises(UsageError, match="'dryrun' does not choose among devices"):
        registry.get("dryrun@usb:0")
    with pytest.raises(UsageError, match="litert knows no 'usb:0'"):
        registry.get("litert@usb:0")
    with pytest.raises(NotFound, match="no runtime named 'nosuch'"):
        registry.get("nosuch@usb:0")


def test_a_compiled_model_needs_the_library(compiled: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgetpu, "LIBRARY", "libnosuch_edgetpu.so.1")
    with pytest.raises(MissingDependency, match="is not on this machine"):
        edgetpu.runtime.load(compiled)


@pytest.fixture
def segmented(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """An artifact of three segments, which the delegate leaves to the CPU of a process each."""
    monkeypatch.setattr(edgetpu, "LIBRARY", str(library))
    files = {"model.tflite": WHOLE} | {f"model_segment_{n}_of_3_edgetpu.tflite": data for n, data in enumerate(SEGMENTS)}
    return artifact(tmp_path / "s", files, "edgetpu", ("edgetpu", "litert"))


def test_segments_run_as_a_pipeline_in_a_process_each(segmented: Artifact) -> None:
    session = registry.get("edgetpu@usb:0,pci:0,:5").load(segmented)
    try:
        whole = litert.runtime.load(segmented)
        np.testing.assert_array_equal(session.run({"image": IMAGE})["sum"], whole.run({"image": IMAGE})["sum"])
        streamed = list(session.stream({"image": sign * IMAGE} for sign in (1, -1, 2)))  # type: ignore[attr-defined]
        np.testing.assert_array_equal(streamed[0]["sum"], whole.run({"image": IMAGE})["sum"])
        assert len(streamed) == 3
    finally:
        session.close()


def test_a_segment_whose_accelerator_is_missing_is_named_and_the_others_are_closed(segmented: Artifact) -> None:
    with pytest.raises(DeviceError, match=r"segment 2 of 3: .*could not open the accelerator usb:3"):
        registry.get("edgetpu@usb:0,pci:0,usb:3").load(segmented)


@pytest.mark.parametrize(
    ("device", "segments", "devices"),
    [("", 1, [""]), ("", 3, [":0", ":1", ":2"]), ("usb:1", 1, ["usb:1"]), ("usb:0,pci:0", 2, ["usb:0", "pci:0"])],
)
def test_every_segment_gets_an_accelerator(device: str, segments: int, devices: list[str]) -> None:
    assert edgetpu.spread(device, segments) == devices


@pytest.mark.parametrize(("device", "segments"), [("usb:0", 2), ("usb:0,usb:1", 1), ("usb:0,usb:1,usb:2", 2)])
def test_more_or_fewer_accelerators_than_segments_are_refused(device: str, segments: int) -> None:
    with pytest.raises(UsageError, match=f"the model has {segments} segment"):
        edgetpu.spread(device, segments)


def test_segments_are_taken_by_number_and_not_by_name() -> None:
    names = [f"m_segment_{n}_of_12_edgetpu.tflite" for n in range(12)]
    assert edgetpu.in_order(sorted(names)) == names


@pytest.mark.parametrize(
    "names",
    [
        ["a_edgetpu.tflite", "b_edgetpu.tflite"],
        ["m_segment_0_of_3_edgetpu.tflite", "m_segment_1_of_3_edgetpu.tflite"],
        ["m_segment_0_of_2_edgetpu.tflite", "n_segment_0_of_2_edgetpu.tflite"],
    ],
    ids=["no segments", "one is missing", "one twice"],
)
def test_compiled_files_that_are_no_segments_of_one_model_are_refused(names: list[str]) -> None:
    with pytest.raises(ArtifactError, match="are no segments of one model"):
        edgetpu.in_order(names)
