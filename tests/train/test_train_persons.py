"""The person detector's recipe: a teacher read from its file, a student that begins as it is, a run that can be resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.core.errors import InputError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
onnx = pytest.importorskip("onnx")
cv2 = pytest.importorskip("cv2")

from edgekit.train import persons_augment, persons_loop, persons_pictures, persons_targets, persons_teacher  # noqa: E402
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


def tensors(weights: dict[str, np.ndarray[Any, np.dtype[np.float32]]]) -> dict[str, Any]:
    return {name: torch.from_numpy(array) for name, array in weights.items()}


def batch(run: persons_loop.Distillation) -> persons_loop.Scenes:
    """Scenes of chance: what they show does not matter."""
    chance = torch.Generator().manual_seed(3)
    sharp = torch.rand(2, 3, *run.recipe.sharp_size(), generator=chance) * 255
    return persons_loop.shown(sharp, run.recipe, chance)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip, of whose last third the judges come."""
    chance, path = np.random.default_rng(2), tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (120, 96))
    for _ in range(6):
        writer.write(cv2.resize(chance.integers(0, 255, (6, 8, 3), np.uint8), (120, 96)))
    writer.release()
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
    rows = persons_targets.flat(taught.maps)
    said = persons_targets.Targets(persons_targets.person_scores(rows), rows[..., :4])
    found = persons_loop.losses(given, taught, said)
    assert max(float(part) for part in found) < 1e-3


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


def test_weights_begin_as_the_teacher_s_and_every_filter_is_trained_in_its_own_size() -> None:
    teacher = tensors(drawn_weights())
    run = persons_loop.Distillation(SMALL, teacher)
    for name, weights in run.adam.weights().items():
        assert torch.equal(weights, persons_teacher.for_persons(teacher)[name])
    for name, share in run.state()["shares"].items():
        if name.endswith("weight"):
            sizes = share.square().mean((1, 2, 3)).sqrt()
            assert bool(((sizes > 0.7) & (sizes < 1.42)).all()), name


@pytest.mark.parametrize("smaller", [1.0, 1e-3])
def test_one_step_moves_a_filter_by_a_share_of_its_own_size_however_small_it_is(smaller: float) -> None:
    drawn = drawn_weights()
    drawn["stage0_down_depthwise.weight"] *= np.float32(smaller)
    drawn["stage0_down_pointwise.weight"] /= np.float32(smaller)
    run = persons_loop.Distillation(SMALL, tensors(drawn))
    before = {name: share.clone() for name, share in run.state()["shares"].items()}
    run.number = 1
    run.step(batch(run))
    pace = run.state()["optimizer"]["param_groups"][0]["lr"]
    moved = 0.0
    for name, share in run.state()["shares"].items():
        shares = (share - before[name]).abs()
        assert shares.max() <= pace * 1.01 + 1e-6, name
        moved = max(moved, float(shares.max()))
    assert moved > pace * 0.9


def test_a_batch_shown_again_and_again_is_learnt() -> None:
    run = persons_loop.Distillation(replace(SMALL, steps=1000, warm_up=0.001, learning_rate=2e-3), tensors(drawn_weights()))
    shown = batch(run)
    said = [run.step(shown) for _ in range(12)]
    assert said[-1]["scores"] < said[0]["scores"] and said[-1]["boxes"] < said[0]["boxes"]
    assert said[-1]["likeness"] < said[0]["likeness"]


def test_a_run_that_ends_farther_from_its_teacher_than_it_began_is_not_kept(
    clip: Path, teacher_file: Path, tmp_path: Path
) -> None:
    untrained = train_persons([clip], teacher_file, tmp_path / "untrained", replace(SMALL, steps=0))
    wild = train_persons([clip], teacher_file, tmp_path / "wild", replace(SMALL, learning_rate=3.0))
    assert SMALL.weighed(wild["held_back"]["after"]) > SMALL.weighed(wild["held_back"]["before"])
    assert wild["kept"] == "beginning" and wild["steps"] == SMALL.steps
    assert wild["model"]["sha256"] == untrained["model"]["sha256"]


def test_a_run_that_came_nearer_is_kept(clip: Path, teacher_file: Path, tmp_path: Path) -> None:
    mild = train_persons([clip], teacher_file, tmp_path / "mild", replace(SMALL, steps=12, learning_rate=1e-3))
    assert SMALL.weighed(mild["held_back"]["after"]) < SMALL.weighed(mild["held_back"]["before"])
    assert mild["kept"] == "trained"


def levels(size: int, said: dict[tuple[int, int, int], tuple[float, list[float]]]) -> tuple[Any, ...]:
    """Maps of a square picture in which the cell (stride, row, column) sees a person so surely in the box (x, y, w, h) of pixels."""
    maps = {stride: torch.full((1, 6, size // stride, size // stride), -12.0) for stride in (8, 16, 32)}
    for (stride, row, column), (score, box) in said.items():
        cell = torch.tensor([[column, row, stride]], dtype=torch.float32)
        maps[stride][0, :4, row, column] = persons_targets.coded(torch.tensor([box]), cell)[0]
        maps[stride][0, 4:, row, column] = torch.tensor([score, 0.9999]).logit()
    return tuple(maps.values())


def test_boxes_survive_being_coded() -> None:
    cells = torch.tensor([[3.0, 1.0, 8.0], [0.0, 2.0, 32.0]])
    boxes = torch.tensor([[30.0, 12.0, 10.0, 20.0], [5.0, 60.0, 40.0, 90.0]])
    assert torch.allclose(persons_targets.decoded(persons_targets.coded(boxes, cells), cells), boxes, atol=1e-3)


def test_a_small_person_is_taught_as_surely_and_exactly_as_the_larger_picture_shows_it() -> None:
    own = levels(64, {(8, 2, 3): (0.3, [28.0, 20.0, 8.0, 14.0]), (8, 2, 4): (0.15, [28.0, 20.0, 8.0, 15.0])})
    sharp = levels(128, {(8, 5, 7): (0.9, [58.0, 40.0, 16.0, 30.0])})
    taught = persons_targets.targets(own, sharp)
    boxes = persons_targets.decoded(taught.boxes, persons_targets.grid(own))[0]
    first, second = 2 * 8 + 3, 2 * 8 + 4
    assert taught.scores[0, first] == pytest.approx(0.9, abs=1e-3)
    assert taught.scores[0, second] == pytest.approx(0.45, abs=1e-3)
    assert torch.allclose(boxes[first], torch.tensor([29.0, 20.0, 8.0, 15.0]), atol=1e-3)


def test_a_person_whom_the_larger_picture_does_not_show_is_unlearnt() -> None:
    own = levels(64, {(16, 1, 1): (0.6, [24.0, 24.0, 20.0, 40.0])})
    elsewhere = levels(128, {(8, 14, 14): (0.9, [116.0, 116.0, 10.0, 20.0])})
    for sharp in (levels(128, {}), elsewhere):
        assert persons_targets.targets(own, sharp).scores.max() <= persons_targets.BELIEVED


def test_a_teacher_that_sees_no_more_in_the_larger_picture_teaches_what_it_says_of_the_small_one() -> None:
    own = levels(64, {(8, 2, 3): (0.3, [28.0, 20.0, 8.0, 14.0]), (16, 2, 2): (0.8, [40.0, 40.0, 20.0, 40.0])})
    taught, rows = persons_targets.targets(own, own), persons_targets.flat(own)
    assert torch.allclose(taught.scores, persons_targets.person_scores(rows), atol=1e-4)
    assert torch.allclose(taught.boxes, rows[..., :4], atol=1e-3)


def test_good_cameras_are_not_forgotten_some_scenes_are_shown_as_they_are() -> None:
    clean = torch.rand(64, 3, 8, 8) * 255

    def shown_as_they_are(share: float) -> int:
        limits = persons_augment.Limits(clean_share=share)
        seen = persons_augment.seen_badly(clean, torch.Generator().manual_seed(0), limits)
        return sum(bool(torch.equal(mine, theirs)) for mine, theirs in zip(seen, clean, strict=True))

    assert shown_as_they_are(1.0) == 64
    assert shown_as_they_are(0.0) == 0
    assert 0 < shown_as_they_are(0.35) < 64
