"""The person detector's recipe: a teacher read from its file, a student that begins as it is, a run that can be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.core.errors import InputError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
onnx = pytest.importorskip("onnx")
cv2 = pytest.importorskip("cv2")

from edgekit.train import persons_augment, persons_loop, persons_pictures, persons_teacher  # noqa: E402
from edgekit.train.persons import MODEL, REPORT, train_persons  # noqa: E402
from edgekit.train.persons_network import answer, detector  # noqa: E402

SMALL = persons_loop.Recipe(steps=4, batch=2, height=64, width=96)


def drawn_weights(seed: int = 0) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Weights of a teacher that knows nothing."""
    table, chance = detector(persons_teacher.CLASSES), np.random.default_rng(seed)
    weights = {}
    for layer in table.convolutions():
        shape = persons_teacher.shape_of(table, layer)
        weights[f"{layer.name}.weight"] = chance.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
        weights[f"{layer.name}.bias"] = np.zeros(layer.channels, np.float32)
    weights["stem.weight"] /= 128
    return weights


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those weights in the order of YOLOX-Nano's file."""
    weights = drawn_weights()
    names = [layer.name for layer in detector(persons_teacher.CLASSES).convolutions()]
    nodes = [onnx.helper.make_node("Conv", ["images", f"{name}.weight", f"{name}.bias"], [name]) for name in names]
    arrays = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    path = tmp_path_factory.mktemp("teacher") / "teacher.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "teacher", [], [], arrays)), path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    chance = np.random.default_rng(1)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), chance.integers(0, 255, (90, 120, 3), np.uint8))
    return folder


def test_the_table_is_yolox_nano_when_it_carries_its_weights(shared_data: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    path = shared_data / "models_onnx" / "yolox_nano.onnx"
    image = np.random.default_rng(0).integers(0, 255, (1, 3, 416, 416)).astype(np.float32)
    wanted = runtime.InferenceSession(str(path)).run(None, {"images": image})[0][0]
    weights = {name: torch.from_numpy(array) for name, array in persons_teacher.read(path).items()}
    maps = answer(detector(80), weights, torch.from_numpy(image)).maps
    rows = torch.cat([level.flatten(2) for level in maps], 2)[0].T
    given = torch.cat([rows[:, :4], rows[:, 4:].sigmoid()], 1).numpy()
    assert np.abs(given - wanted).max() < 1e-4


def test_a_file_that_is_not_the_teacher_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "other", [], [])), path)
    with pytest.raises(InputError, match="0 convolutions, YOLOX-Nano has 113"):
        persons_teacher.read(path)


def test_the_student_begins_with_what_the_teacher_says_of_people() -> None:
    teacher = {name: torch.from_numpy(array) for name, array in drawn_weights().items()}
    image = torch.rand(1, 3, 64, 96) * 255
    taught = answer(detector(80), teacher, image)
    given = answer(detector(1), persons_teacher.for_persons(teacher), image)
    for mine, theirs in zip(given.maps, taught.maps, strict=True):
        assert torch.allclose(mine, theirs[:, :6], atol=1e-4)
    assert persons_loop.losses(given, taught).boxes < 1e-3
    assert persons_loop.losses(given, taught).likeness < 1e-6


def test_a_run_writes_a_detector_that_edgekit_reads_without_being_told_how(
    pictures: Path, teacher_file: Path, tmp_path: Path
) -> None:
    report = train_persons([pictures], teacher_file, tmp_path / "run", SMALL)
    model = onnx.load(tmp_path / "run" / MODEL)
    assert [output.name for output in model.graph.output] == ["output"]
    assert [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim] == [1, 8 * 12 + 4 * 6 + 2 * 3, 6]
    assert '"yolox"' in {entry.key: entry.value for entry in model.metadata_props}["edgekit"]
    assert report["steps"] == 4 and report["pictures"] == 3 and (tmp_path / "run" / REPORT).is_file()
    assert report["model"]["parameters"] <= 1_000_000


def test_a_stopped_run_goes_on_to_the_same_weights(pictures: Path, teacher_file: Path, tmp_path: Path) -> None:
    whole = train_persons([pictures], teacher_file, tmp_path / "whole", SMALL)

    def stop(event: Any) -> None:
        if event.stage == "train" and event.done >= 500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_persons([pictures], teacher_file, tmp_path / "halves", SMALL, progress=stop)
    with pytest.raises(InputError, match="already holds"):
        train_persons([pictures], teacher_file, tmp_path / "halves", SMALL)
    halves = train_persons([pictures], teacher_file, tmp_path / "halves", SMALL, resume=True)
    assert halves["model"]["sha256"] == whole["model"]["sha256"]


def test_pictures_that_will_judge_the_result_are_left_out(pictures: Path, tmp_path: Path) -> None:
    judges = tmp_path / "judges"
    judges.mkdir()
    (judges / "1.jpg").touch()
    assert len(persons_pictures.collect([pictures])) == 3
    assert len(persons_pictures.collect([pictures], persons_pictures.stems([judges]))) == 2


def test_a_picture_shown_at_its_own_size_is_the_picture() -> None:
    canvas = torch.full((1, 3, 80, 100), 114, dtype=torch.uint8)
    canvas[:, :, :64, :96] = (torch.rand(3, 64, 96) * 255).to(torch.uint8)
    still = persons_augment.Limits(smallest=1.0, largest=1.0, stretch=0.0, turn_degrees=0.0, mosaic_share=0.0)
    shown = persons_augment.Pictures(canvas, torch.tensor([[96, 64]]))
    chance = torch.Generator().manual_seed(0)
    rows = torch.zeros(1, 4, dtype=torch.long)
    seen = [persons_augment.scenes(shown, rows, (64, 96), chance, still) for _ in range(8)]
    original = canvas[:, :, :64, :96].float()
    assert any(torch.allclose(scene, original, atol=0.5) for scene in seen)
    assert any(torch.allclose(scene, original.flip(3), atol=0.5) for scene in seen)
