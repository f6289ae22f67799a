"""Trained networks and real data: what every target must keep of them. Skipped where the data is absent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from edgekit import artifact as artifacts
from edgekit.conversion.batch import Batch, convert_all
from edgekit.conversion.request import Request
from edgekit.core.progress import silent
from edgekit.core.schema import Recipe
from edgekit.loading import open_artifact
from edgekit.models import digits
from edgekit.tasks.calibration.samples import calibration_samples


def _miscomputes() -> bool:
    """ONNX Runtime before 1.24 gives other uint8 convolutions at every run on x86 CPUs with AMX; the parity gate refuses them."""
    version = tuple(int(part) for part in metadata.version("onnxruntime").split(".")[:2])
    cpuinfo = Path("/proc/cpuinfo")
    return version < (1, 24) and cpuinfo.exists() and "amx_int8" in cpuinfo.read_text(errors="replace")


TARGETS = ("jetson", "coral", "rpi") if _miscomputes() else ("jetson", "coral", "rpi", "cpu")
DETECTORS = ("yolox_nano", "fastestdet", "yunet_n_640_640", "ultraface_version-RFB-320")


slow = pytest.mark.slow
REST = tuple(target for target in TARGETS if target != "rpi")
FLOAT = [pytest.param(name, marks=() if name in ("yolox_nano", "ultraface_version-RFB-320") else slow) for name in DETECTORS]
INT8 = [
    ("yolox_nano", ("rpi",)),
    ("ultraface_version-RFB-320", TARGETS),
    pytest.param("yolox_nano", REST, marks=slow),
    pytest.param("fastestdet", TARGETS, marks=slow),
    pytest.param("yunet_n_640_640", TARGETS, marks=slow),
]
"""One large network for one board and one small one for every board; the others when there is time."""
Detector = Callable[[str, tuple[str, ...]], Batch]


def made(model: Path, folder: Path, precision: str, data: Path, targets: Sequence[str], labelled: Path | None = None) -> Batch:
    recipe = Recipe(precision=precision)  # type: ignore[arg-type]
    batch = convert_all([model], targets, Request(recipe=recipe, calibration=data, evaluate=labelled, output=folder), silent)
    assert batch.failed == ()
    assert [cell.target for cell in batch.artifacts] == list(targets)
    return batch


@pytest.fixture(scope="module")
def in_int8(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """A detector in int8 for some targets, made once; YOLOX-nano, whose classes have labels here, with its accuracy."""

    @cache
    def detector(name: str, targets: tuple[str, ...]) -> Batch:
        labelled = shared_data / "coco_eval" if name == "yolox_nano" else None
        model, folder = shared_data / "models_onnx" / f"{name}.onnx", tmp_path_factory.mktemp(name)
        return made(model, folder, "int8", shared_data / "calibration", targets, labelled)

    return detector


@pytest.mark.parametrize("name", FLOAT)
def test_float_artifacts_are_within_1e_4_of_the_source_on_every_target(shared_data: Path, tmp_path: Path, name: str) -> None:
    batch = made(shared_data / "models_onnx" / f"{name}.onnx", tmp_path, "fp32", shared_data / "calibration", TARGETS)
    assert {cell.parity.metric for cell in batch.artifacts} == {"max_relative_error"}
    # YOLOX amplifies rounding: ONNX Runtime with and without its optimisations is 0.6e-4 to 1e-4 apart, by processor; LiteRT twice that
    limit = 3e-4 if name == "yolox_nano" else 1e-4
    assert max(cell.parity.value for cell in batch.artifacts) <= limit


@pytest.mark.parametrize(("name", "targets"), INT8)
def test_no_output_of_an_int8_artifact_is_silently_wrong(
    shared_data: Path, in_int8: Detector, name: str, targets: tuple[str, ...]
) -> None:
    """Every output moves with its source on pictures that were not calibrated on; none is dead, none is noise."""
    for cell in in_int8(name, targets).artifacts:
        artifact = artifacts.read(cell.path)
        pictures = calibration_samples(
            shared_data / "coco_eval" / "images",
            artifact.manifest.preprocess,
            [p.source for p in artifact.manifest.inputs],
            limit=4,
        )
        assert_correlated(shared_data / "models_onnx" / f"{name}.onnx", cell.path, list(pictures))


def assert_correlated(model: Path, path: str, feeds: list[dict[str, np.ndarray]]) -> None:
    from edgekit.runtimes.onnxruntime import execute

    run = execute(model)
    artifact = artifacts.read(path)
    with open_artifact(artifact, runtime=artifact.manifest.runtimes[-1]) as session:
        answers = [(run(feed), session.run(feed)) for feed in feeds]
    for name in answers[0][0]:
        expected, found = (np.concatenate([pair[side][name].ravel() for pair in answers]) for side in (0, 1))
        assert np.corrcoef(expected, found)[0, 1] > 0.9, (path, name)


@pytest.mark.parametrize("targets", [("rpi",), pytest.param(REST, marks=slow)])
def test_yolox_nano_in_int8_finds_what_it_found_in_float(in_int8: Detector, targets: tuple[str, ...]) -> None:
    for cell in in_int8("yolox_nano", targets).artifacts:
        assert cell.accuracy is not None
        assert cell.accuracy.source == pytest.approx(0.463, abs=0.005)
        assert cell.accuracy.drop <= 0.02, cell.target


@pytest.mark.parametrize(
    ("precision", "targets"),
    [("int8", ("rpi",)), pytest.param("int8", REST, marks=slow), pytest.param("fp32", TARGETS, marks=slow)],
)
def test_digits_lose_less_than_a_twentieth_of_a_point(
    shared_data: Path, tmp_path: Path, precision: str, targets: tuple[str, ...]
) -> None:
    samples = digits.model_path().parent / "samples"
    batch = made(digits.model_path(), tmp_path, precision, samples, targets, shared_data / "mnist")
    for cell in batch.artifacts:
        assert cell.accuracy is not None
        assert cell.accuracy.source >= 0.995
        assert abs(cell.accuracy.drop) <= 0.0005, cell.target


def test_a_photograph_goes_in_and_people_come_out_of_the_int8_artifact(
    shared_data: Path, in_int8: Detector, tmp_path: Path
) -> None:
    from edgekit.apps import detect
    from edgekit.apps.base import RunOptions

    (cell,) = in_int8("yolox_nano", ("rpi",)).artifacts
    photograph = shared_data / "images_coral" / "grace_hopper.bmp"
    answer = detect.run(RunOptions(artifact=Path(cell.path), image=photograph, output=tmp_path / "seen.png"))
    people = [found for found in answer.result["detections"] if found["label"] == "person"]
    assert len(people) == 1
    assert people[0]["score"] > 0.7
    assert (tmp_path / "seen.png").stat().st_size > 10_000


def plainly(model: Path, folder: Path, calibration: Path, labelled: Path, max_drop: float) -> Batch:
    """int8 done badly on purpose: one scale per weight, ranges of all that was seen, eight samples."""
    recipe = Recipe(precision="int8", weights="per-tensor", ranges="min-max", calibration_limit=8, max_drop=max_drop)
    request = Request(recipe=recipe, calibration=calibration, evaluate=labelled, output=folder)
    return convert_all([model], ["rpi"], request, silent)


@pytest.mark.slow
def test_a_poor_setting_is_rescued_to_within_the_budget(shared_data: Path, tmp_path: Path) -> None:
    """YOLOX-nano falls by more than five points in that setting; the search brings it within one."""
    model = shared_data / "models_onnx" / "yolox_nano.onnx"
    batch = plainly(model, tmp_path, shared_data / "calibration", shared_data / "coco_eval", 0.01)
    assert batch.failed == ()
    (cell,) = batch.artifacts
    assert cell.accuracy is not None
    assert cell.recovery is not None
    assert cell.float_cost is not None
    assert cell.accuracy.drop <= 0.01
    assert cell.precision == "mixed"
    assert not cell.recovery.steps[0].ok
    assert 0 < cell.recovery.macs_share < 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yunet_n_640_640", "ultraface_version-RFB-320"])
def test_face_detectors_in_int8_agree_with_their_source(shared_data: Path, tmp_path: Path, name: str) -> None:
    model = shared_data / "models_onnx" / f"{name}.onnx"
    request = Request(
        recipe=Recipe(precision="int8"),
        calibration=shared_data / "calibration",
        evaluate=shared_data / "coco_eval" / "images",
        output=tmp_path,
    )
    batch = convert_all([model], ["rpi"], request, silent)
    assert batch.failed == ()
    (cell,) = batch.artifacts
    assert cell.accuracy is not None
    assert (cell.accuracy.metric, cell.accuracy.source) == ("agreement", 1.0)
    assert cell.accuracy.drop <= 0.01
