"""Points, masks and rows that are final already: decoded from arrays whose answers were put in by hand."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.recognise import head, recognise
from edgekit.tasks.detection import Detections, detect
from edgekit.tasks.labels import coco90, label_of
from edgekit.tasks.pictures.preprocess import Placement, prepare

Arrays = dict[str, NDArray[np.float32]]
HEIGHT, WIDTH, CELLS = 64, 96, 126
PICTURE = (TensorSpec(name="in", shape=(1, 3, HEIGHT, WIDTH), dtype="float32"),)


def known(outputs: Arrays, inputs: tuple[TensorSpec, ...] = PICTURE) -> tuple[Preprocess, Postprocess]:
    answer = recognise(inputs, [TensorSpec(name=n, shape=a.shape, dtype="float32") for n, a in outputs.items()])
    assert answer is not None
    return answer


def found_in(outputs: Arrays, placement: Placement | None = None, *, masks: bool = False) -> tuple[str, Detections]:
    preprocess, postprocess = known(outputs)
    same = Placement(image_width=WIDTH, image_height=HEIGHT, scale_x=1.0, scale_y=1.0)
    return postprocess.head, detect(outputs, postprocess, preprocess, placement or same, masks=masks)


def pose_rows(count: int, rows_before: int) -> NDArray[np.float32]:
    """[count, before + 51], nothing found in any."""
    return np.zeros((count, rows_before + 51), np.float32)


def points() -> NDArray[np.float32]:
    return np.stack([np.arange(17) + 20.0, np.arange(17) + 10.0, np.linspace(0.1, 0.9, 17)], axis=1).astype(np.float32)


@pytest.mark.parametrize("unit", ["pixels", "shares"])
@pytest.mark.parametrize("final", [False, True], ids=["yolov8_pose", "yolov10_pose"])
def test_people_have_seventeen_points_in_pixels_of_their_picture(final: bool, unit: str) -> None:
    rows = pose_rows(300, 6) if final else pose_rows(CELLS, 5)
    rows[7, :5] = [20, 10, 40, 30, 0.9] if final else [30, 20, 20, 20, 0.9]
    rows[7, -51:] = points().ravel()
    if unit == "shares":
        rows[:, :4] /= [WIDTH, HEIGHT, WIDTH, HEIGHT]
        rows[:, -51:] /= np.tile([WIDTH, HEIGHT, 1], 17)
    half = Placement(image_width=192, image_height=100, scale_x=0.5, scale_y=0.5, offset_y=7.0)
    name, found = found_in({"out": rows[None] if final else rows.T[None]}, half)
    assert name == ("yolov10_pose" if final else "yolov8_pose")
    assert found.labels == ("person",)
    np.testing.assert_allclose(found.boxes, [[40, 6, 80, 46]], atol=1e-4)
    assert found.keypoints is not None and found.keypoints.shape == (1, 17, 3)
    np.testing.assert_allclose(found.keypoints[0, :, :2], (points()[:, :2] - (0, 7)) * 2, atol=1e-4)
    np.testing.assert_allclose(found.keypoints[0, :, 2], points()[:, 2], rtol=1e-6)


def test_points_follow_the_people_that_suppression_leaves() -> None:
    columns = pose_rows(CELLS, 5)
    for cell, score in ((3, 0.6), (4, 0.9), (90, 0.7)):
        columns[cell, :5] = [70, 20, 20, 20, score] if cell == 90 else [30, 20, 20, 20, score]
        columns[cell, 5:] = cell
    _, found = found_in({"out": columns.T[None]})
    assert found.keypoints is not None
    assert found.keypoints[:, 0, 0].tolist() == [4.0, 90.0]


def two_prototypes(last: bool) -> NDArray[np.float32]:
    """The left half of the picture, and its upper half: +1 inside, -1 outside."""
    made = -np.ones((1, 2, HEIGHT // 4, WIDTH // 4), np.float32)
    made[0, 0, :, : WIDTH // 8] = 1
    made[0, 1, : HEIGHT // 8] = 1
    return made.transpose(0, 2, 3, 1) if last else made


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("name", ["yolov8_seg", "yolov10_seg", "yolov5_seg"])
def test_a_mask_is_its_box_where_its_sum_of_prototypes_is_positive(name: str, last: bool) -> None:
    rows = np.zeros({"yolov8_seg": (CELLS, 8), "yolov10_seg": (300, 8), "yolov5_seg": (3 * CELLS, 9)}[name], np.float32)
    box = [28, 22, 68, 42]
    centre = [48, 32, 40, 20]
    row = {"yolov8_seg": [*centre, 0, 0.9], "yolov10_seg": [*box, 0.9, 1], "yolov5_seg": [*centre, 1, 0, 0.9]}[name]
    rows[5] = [*row, 1.0, 0.0]
    rows[60] = [
        *np.add(row, [20, 0, 20, 0] + [0] * (len(row) - 4) if name == "yolov10_seg" else [20, 0, 0, 0] + [0] * (len(row) - 4)),
        0.0,
        -1.0,
    ]
    rows[60, 4] -= 0.1
    outputs = {"rows": rows.T[None] if name == "yolov8_seg" else rows[None], "masks": two_prototypes(last)}
    got, found = found_in(outputs, masks=True)
    assert got == name
    assert found.masks is not None and found.masks.shape == (len(found), HEIGHT, WIDTH) and found.masks.dtype == np.bool_
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    wanted[22:42, 28:48] = True
    np.testing.assert_array_equal(found.masks[0], wanted)
    if len(found) > 1:
        wanted[:] = False
        wanted[32:42, 48:88] = True
        np.testing.assert_array_equal(found.masks[1], wanted)


def test_masks_lie_on_the_picture_whatever_its_size_and_padding() -> None:
    preprocess, postprocess = known({"rows": np.zeros((1, 8, CELLS), np.float32), "masks": two_prototypes(False)})
    placement = prepare(np.zeros((200, 200, 3), np.uint8), preprocess).placement
    columns = np.zeros((1, 8, CELLS), np.float32)
    columns[0, :, 0] = [32, 32, 64, 64, 0.9, 0, 0.0, 1.0]
    found = detect({"rows": columns, "masks": two_prototypes(False)}, postprocess, preprocess, placement, masks=True)
    assert found.masks is not None and found.masks.shape == (1, 200, 200)
    assert found.masks[0, :99].all() and not found.masks[0, 101:].any()


def test_masks_are_put_together_only_when_asked_for() -> None:
    columns = np.zeros((1, 8, CELLS), np.float32)
    columns[0, :, 0] = [32, 32, 64, 64, 0.9, 0, 0.0, 1.0]
    outputs = {"rows": columns, "masks": two_prototypes(False)}
    assert found_in(outputs)[1].masks is None
    _, none = found_in({**outputs, "rows": np.zeros_like(columns)}, masks=True)
    assert none.masks is not None and none.masks.shape == (0, HEIGHT, WIDTH)


def test_a_model_whose_suppression_is_inside_is_not_suppressed_again() -> None:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, :3] = [[10, 10, 30, 30, 0.9, 2], [10, 10, 30, 30, 0.8, 2], [50, 20, 70, 40, 0.2, 0]]
    name, found = found_in({"out": rows})
    assert (name, found.labels) == ("yolov10", ("class 2", "class 2"))
    np.testing.assert_allclose(found.boxes, [[10, 10, 30, 30]] * 2)
    preprocess, postprocess = known({"out": rows})
    named = msgspec.structs.replace(postprocess, labels=("cat", "dog", "owl"))
    same = Placement(image_width=WIDTH, image_height=HEIGHT, scale_x=1.0, scale_y=1.0)
    assert detect({"out": rows}, named, preprocess, same).labels == ("owl", "owl")


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_distributions_of_distances_become_boxes(last: bool) -> None:
    maps = [np.full((1, 66, HEIGHT // s, WIDTH // s), -9.0, np.float32) for s in (8, 16, 32)]
    for side, distance in enumerate((1, 2, 3, 0)):
        maps[1][0, 16 * side + distance, 1, 2] = 60.0
    maps[1][0, 65, 1, 2] = 2.0
    outputs = {f"t{i}": array.transpose(0, 2, 3, 1) if last else array for i, array in enumerate(maps[::-1])}
    name, found = found_in(outputs)
    assert (name, found.labels) == ("yolov8_raw", ("class 1",))
    np.testing.assert_allclose(found.boxes, [[(2.5 - 1) * 16, (1.5 - 2) * 16 + 8, (2.5 + 3) * 16, 1.5 * 16]], atol=1e-3)
    np.testing.assert_allclose(found.scores, [1 / (1 + np.exp(-2))], rtol=1e-5)


def ssd_outputs(scores: list[float], classes: list[int], count: int) -> Arrays:
    boxes = np.tile(np.float32([0.25, 0.5, 0.75, 1.0]), (1, len(scores), 1))
    return {"b": boxes, "c": np.float32([classes]), "s": np.float32([scores]), "n": np.float32([count])}


@pytest.mark.parametrize("order", ["bcsn", "nscb", "sbnc"])
def test_ssd_rows_are_told_apart_in_any_order(order: str) -> None:
    outputs = ssd_outputs([0.9, 0.6, 0.5], [16, 0, 3], 2)
    name, found = found_in({key: outputs[key] for key in order})
    assert (name, found.labels) == ("ssd", ("cat", "person"))
    np.testing.assert_allclose(found.boxes, [[48, 16, 96, 48]] * 2)
    np.testing.assert_allclose(found.scores, [0.9, 0.6])


def test_coco_counts_ninety_places_of_which_ten_are_empty() -> None:
    labels = coco90()
    assert len(labels) == 90 and len([one for one in labels if not one.startswith("class ")]) == 80
    assert [labels[i] for i in (0, 12, 16, 89)] == ["person", "stop sign", "cat", "toothbrush"]
    assert label_of(labels, 90) == "class 90"


def test_movenet_finds_one_person_and_boxes_the_points_it_is_sure_of() -> None:
    points = np.zeros((1, 1, 17, 3), np.float32)
    points[0, 0, :, 2] = 0.1
    assert len(found_in({"out": points})[1]) == 0
    points[0, 0, :12] = [[0.25 + i / 64, 0.5 + i / 96, 0.8] for i in range(12)]
    name, found = found_in({"out": points})
    assert (name, found.labels) == ("movenet", ("person",))
    np.testing.assert_allclose(found.boxes, [[48, 16, 59, 27]], atol=1e-3)
    np.testing.assert_allclose(found.scores, [(12 * 0.8 + 5 * 0.1) / 17], rtol=1e-5)


@pytest.mark.parametrize("name", ["yolov8_seg", "yolov10_seg", "yolov5_seg"])
def test_a_head_with_masks_says_what_it_misses(name: str) -> None:
    preprocess, _ = known({"t": np.zeros((1, 6, CELLS), np.float32)})
    with pytest.raises(InputError, match=f"the {name} head needs prototypes of 16 x 24"):
        head(name).decode({"t": np.zeros((1, 8, CELLS), np.float32)}, preprocess, Postprocess(task="detection", head=name))


@pytest.mark.parametrize("name", ["yolov8_pose", "yolov10", "yolov10_pose", "yolov8_raw", "ssd", "movenet"])
def test_arrays_of_another_model_are_refused(name: str) -> None:
    preprocess, _ = known({"t": np.zeros((1, 6, CELLS), np.float32)})
    with pytest.raises(InputError, match=f"the {name} head needs an output of shape"):
        head(name).decode({"t": np.zeros((1, 9, 9), np.float32)}, preprocess, Postprocess(task="detection", head=name))


def test_of_the_classes_that_are_wanted_the_same_is_found_as_when_all_are() -> None:
    chance = np.random.default_rng(0)
    columns = np.zeros((1, 4 + 3, CELLS), np.float32)
    columns[0, :2] = chance.uniform(16, 48, (2, CELLS))
    columns[0, 2:4] = chance.uniform(8, 24, (2, CELLS))
    columns[0, 4:] = chance.uniform(0, 1, (3, CELLS))
    preprocess, postprocess = known({"rows": columns})
    placement = prepare(np.zeros((HEIGHT, WIDTH, 3), np.uint8), preprocess).placement
    every = detect({"rows": columns}, postprocess, preprocess, placement)
    for wanted in ([1], [0, 2], [], [7]):
        found = detect({"rows": columns}, postprocess, preprocess, placement, wanted=np.array(wanted, np.int64))
        rows = np.flatnonzero(np.isin(every.class_ids, wanted))
        np.testing.assert_array_equal(found.boxes, every.boxes[rows])
        np.testing.assert_array_equal(found.class_ids, every.class_ids[rows])
        assert found.labels == tuple(every.labels[row] for row in rows)
    assert len(every) > 20
