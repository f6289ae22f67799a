"""Heads are known by their shapes alone, and decode to boxes that were put into their arrays by hand."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.core.errors import InputError, Unsupported
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.classification import classify
from edgekit.tasks.decoding.recognise import head, head_names, recognise
from edgekit.tasks.detection import detect
from edgekit.tasks.labels import default_labels, is_unnamed, read_labels
from edgekit.tasks.pictures.preprocess import Placement

Arrays = dict[str, NDArray[np.float32]]


def specs(*shapes: tuple[int, ...], prefix: str = "t") -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name=f"{prefix}{index}", shape=shape, dtype="float32") for index, shape in enumerate(shapes))


def picture(*shape: int) -> tuple[TensorSpec, ...]:
    return specs(shape, prefix="in")


def known(inputs: tuple[TensorSpec, ...], *outputs: tuple[int, ...]) -> tuple[Preprocess, Postprocess]:
    answer = recognise(inputs, specs(*outputs))
    assert answer is not None
    return answer


def same_size(preprocess: Preprocess) -> Placement:
    return Placement(image_width=preprocess.width, image_height=preprocess.height, scale_x=1.0, scale_y=1.0)


def yunet_shapes(height: int, width: int) -> list[tuple[int, ...]]:
    counts = [(height // stride) * (width // stride) for stride in (8, 16, 32)]
    return [(1, count, columns) for columns in (1, 1, 4, 10) for count in counts]


RECOGNISED = [
    pytest.param((1, 3, 416, 416), [(1, 3549, 85)], "yolox", 80, id="YOLOX-nano"),
    pytest.param((1, 3, 640, 640), [(1, 8400, 6)], "yolox", 1, id="YOLOX with one class of one's own"),
    pytest.param((1, 3, 256, 320), [(1, 1680, 12)], "yolox", 7, id="YOLOX for an oblong input"),
    pytest.param((1, 416, 416, 3), [(1, 3549, 85)], "yolox", 80, id="YOLOX with channels last"),
    pytest.param((1, 3, 1280, 1280), [(1, 34000, 85)], "yolox", 80, id="YOLOX with a fourth stride"),
    pytest.param((1, 3, 640, 640), [(1, 84, 8400)], "yolov8", 80, id="YOLOv8 and YOLO11"),
    pytest.param((1, 3, 256, 320), [(1, 5, 1680)], "yolov8", 1, id="YOLOv8 with one class, for an oblong input"),
    pytest.param((1, 3, 640, 640), [(1, 32, 160, 160), (1, 116, 8400)], "yolov8_seg", 80, id="YOLOv8 with masks, in any order"),
    pytest.param(
        (1, 640, 640, 3), [(1, 116, 8400), (1, 160, 160, 32)], "yolov8_seg", 80, id="YOLOv8 with masks, channels last"
    ),
    pytest.param((1, 3, 320, 256), [(1, 39, 1680), (1, 32, 80, 64)], "yolov8_seg", 3, id="YOLO11 with masks, oblong"),
    pytest.param((1, 3, 640, 640), [(1, 56, 8400)], "yolov8_pose", 1, id="YOLOv8 and YOLO11 with points"),
    pytest.param((1, 3, 256, 320), [(1, 56, 1680)], "yolov8_pose", 1, id="YOLOv8 with points, oblong"),
    pytest.param((1, 3, 640, 640), [(1, 144, s, s) for s in (80, 40, 20)], "yolov8_raw", 80, id="YOLOv8 without its decoding"),
    pytest.param(
        (1, 64, 96, 3), [(1, *s, 66) for s in ((2, 3), (4, 6), (8, 12))], "yolov8_raw", 2, id="the same, channels last"
    ),
    pytest.param((1, 3, 640, 640), [(1, 300, 6)], "yolov10", 0, id="YOLOv10 and YOLO26"),
    pytest.param((1, 640, 480, 3), [(1, 100, 6)], "yolov10", 0, id="a YOLO with its suppression inside, channels last"),
    pytest.param((1, 3, 640, 640), [(1, 300, 57)], "yolov10_pose", 1, id="YOLO26 with points"),
    pytest.param((1, 3, 640, 640), [(1, 300, 38), (1, 32, 160, 160)], "yolov10_seg", 0, id="YOLO26 with masks"),
    pytest.param((1, 3, 640, 640), [(1, 25200, 117), (1, 32, 160, 160)], "yolov5_seg", 80, id="YOLOv5 with masks"),
    pytest.param((1, 300, 300, 3), [(1, 10, 4), (1, 10), (1, 10), (1,)], "ssd", 90, id="SSD with TensorFlow's postprocessing"),
    pytest.param((1, 192, 192, 3), [(1, 1, 17, 3)], "movenet", 1, id="MoveNet"),
    pytest.param((1, 256, 256, 3), [(1, 4, 33, 5), (1, 4, 33, 3), (1,)], "blazepose", 1, id="MediaPipe's pose landmarker"),
    pytest.param((1, 3, 1280, 1280), [(1, 84, 34000)], "yolov8", 80, id="YOLOv8 with a fourth, coarser stride"),
    pytest.param((1, 3, 640, 640), [(1, 84, 34000)], "yolov8", 80, id="YOLOv8 with a fourth, finer stride"),
    pytest.param((1, 3, 640, 640), [(1, 25200, 85)], "yolov5", 80, id="YOLOv5 and YOLOv7"),
    pytest.param((1, 640, 640, 3), [(1, 25200, 7)], "yolov5", 2, id="YOLOv5 with channels last"),
    pytest.param((1, 3, 352, 352), [(1, 85, 22, 22)], "fastestdet", 80, id="FastestDet"),
    pytest.param((1, 3, 256, 320), [(1, 8, 16, 20)], "fastestdet", 3, id="FastestDet with three classes"),
    pytest.param((1, 256, 320, 3), [(1, 16, 20, 8)], "fastestdet", 3, id="FastestDet with channels last"),
    pytest.param((1, 3, 640, 640), yunet_shapes(640, 640), "yunet", 1, id="YuNet"),
    pytest.param((1, 3, 320, 256), yunet_shapes(320, 256)[::-1], "yunet", 1, id="YuNet, outputs in another order"),
    pytest.param((1, 3, 240, 320), [(1, 4420, 2), (1, 4420, 4)], "ultraface", 1, id="UltraFace"),
    pytest.param((1, 3, 480, 640), [(1, 17640, 4), (1, 17640, 2)], "ultraface", 1, id="UltraFace, boxes first"),
    pytest.param((1, 3, 224, 224), [(1, 1000)], "classification", 1000, id="an ImageNet classifier"),
    pytest.param((1, 1, 28, 28), [(1, 10)], "classification", 10, id="a digit classifier"),
    pytest.param((1, 3, 96, 96), [(1, 2, 1, 1)], "classification", 2, id="a classifier that pools last"),
]


@pytest.mark.parametrize(("shape", "outputs", "name", "classes"), RECOGNISED)
def test_known_models_are_told_by_their_shapes(
    shape: tuple[int, ...], outputs: list[tuple[int, ...]], name: str, classes: int
) -> None:
    preprocess, postprocess = known(picture(*shape), *outputs)
    assert (postprocess.head, len(postprocess.labels)) == (name, classes)
    size = shape[2:] if preprocess.layout == "nchw" else shape[1:3]
    assert (preprocess.height, preprocess.width) == size


UNKNOWN = [
    pytest.param([(1, 3, 640, 640)], [(1, 4, 8400)], id="columns without a class"),
    pytest.param([(1, 3, 640, 640)], [(1, 84, 8401)], id="columns that are not the cells"),
    pytest.param([(1, 3, 640, 640)], [(1, 36, 8400), (1, 32, 160, 160)], id="masks without a class"),
    pytest.param([(1, 3, 640, 640)], [(1, 64, s, s) for s in (80, 40, 20)], id="maps of distances without a class"),
    pytest.param([(1, 3, 640, 640)], [(1, 300, 7)], id="few rows of another width"),
    pytest.param([(1, 1, 640, 640)], [(1, 300, 6)], id="few rows from a grey picture"),
    pytest.param([(1, 300, 300, 3)], [(1, 10, 4), (1, 10), (1, 9), (1,)], id="SSD with a score missing"),
    pytest.param([(1, 192, 192, 3)], [(1, 6, 17, 3)], id="points of several people"),
    pytest.param([(1, 3, 640, 640)], [(1, 84, 8400), (1, 32, 80, 80)], id="prototypes of another size"),
    pytest.param([(1, 3, 640, 640)], [(1, 25201, 85)], id="two and a half anchors a cell"),
    pytest.param([(1, 3, 410, 410)], [(1, 3549, 85)], id="a size that strides do not divide"),
    pytest.param([(1, 3, 416, 416)], [(1, 3549, 5)], id="no class at all"),
    pytest.param([(8, 3, 416, 416)], [(8, 3549, 85)], id="a batch of eight"),
    pytest.param([(1, 16, 64, 64)], [(1, 10)], id="not a picture"),
    pytest.param([(1, 128)], [(1, 10)], id="a vector"),
    pytest.param([(1, 3, 32, 32), (1, 4)], [(1, 10)], id="two inputs"),
    pytest.param([(1, 3, 32, 32)], [(1, 10), (1, 10)], id="two answers"),
    pytest.param([(1, 3, 32, 32)], [(1, 1)], id="one number"),
    pytest.param([(1, 3, 32, 32)], [(1, 3, 32, 32)], id="a picture comes out"),
    pytest.param([(1, 3, 64, 64)], [(1, 84, 2), (1, 80, 4)], id="scores and boxes that differ in number"),
    pytest.param([(1, 3, 64, 64)], yunet_shapes(64, 64)[:11], id="YuNet with an output missing"),
]


@pytest.mark.parametrize(("inputs", "outputs"), UNKNOWN)
def test_other_models_are_not_guessed_at(inputs: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> None:
    assert recognise(specs(*inputs), specs(*outputs)) is None


def test_every_head_says_how_its_picture_is_prepared() -> None:
    yolox, _ = known(picture(1, 3, 416, 416), (1, 3549, 85))
    assert (yolox.color, yolox.resize, yolox.pad_value, yolox.scale) == ("bgr", "letterbox", 114.0, 1.0)
    fastestdet, _ = known(picture(1, 3, 352, 352), (1, 85, 22, 22))
    assert (fastestdet.color, fastestdet.resize, fastestdet.scale) == ("bgr", "stretch", 1 / 255)
    ultraface, _ = known(picture(1, 3, 240, 320), (1, 4420, 2), (1, 4420, 4))
    assert (ultraface.color, ultraface.mean, ultraface.std) == ("rgb", (127.0,), (128.0,))
    digits, _ = known(picture(1, 1, 28, 28), (1, 10))
    assert (digits.color, digits.scale, digits.mean) == ("gray", 1 / 255, (0.0,))
    imagenet, _ = known(picture(1, 3, 224, 224), (1, 1000))
    assert (imagenet.mean, imagenet.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    keras, _ = known(picture(1, 224, 224, 3), (1, 1001))
    assert (keras.layout, keras.mean, keras.std) == ("nhwc", (0.5,), (0.5,))


def test_eighty_detected_classes_are_those_of_coco_and_others_are_numbered() -> None:
    labels = known(picture(1, 3, 416, 416), (1, 3549, 85))[1].labels
    assert (labels[0], labels[15], labels[79]) == ("person", "cat", "toothbrush")
    assert len(set(labels)) == 80 == len(read_labels("coco80"))
    assert default_labels(3) == ("class 0", "class 1", "class 2")
    assert is_unnamed(default_labels(3))
    assert not is_unnamed(labels)
    assert is_unnamed(known(picture(1, 3, 64, 64), (1, 80))[1].labels)


def yolox_row(cell: tuple[int, int], stride: int, box: tuple[float, float, float, float]) -> list[float]:
    """The raw numbers that stand for `box` in a cell."""
    x1, y1, x2, y2 = box
    centre = ((x1 + x2) / 2 / stride - cell[0], (y1 + y2) / 2 / stride - cell[1])
    return [*centre, float(np.log((x2 - x1) / stride)), float(np.log((y2 - y1) / stride))]


def test_yolox_rows_become_the_boxes_they_stand_for() -> None:
    preprocess, postprocess = known(picture(1, 3, 64, 96), (1, 126, 7))
    rows = np.zeros((1, 126, 7), np.float32)
    rows[0, 12 + 5] = [*yolox_row((5, 1), 8, (40, 4, 56, 20)), 0.9, 0.1, 0.8]
    rows[0, 96 + 24 + 4] = [*yolox_row((1, 1), 32, (10, 20, 60, 60)), 0.5, 0.9, 0.2]
    found = detect({"t0": rows}, postprocess, preprocess, same_size(preprocess))
    np.testing.assert_allclose(found.boxes, [[40, 4, 56, 20], [10, 20, 60, 60]], atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.72, 0.45], atol=1e-6)
    assert found.labels == ("class 1", "class 0")


@pytest.mark.parametrize("unit", ["pixels", "shares"])
@pytest.mark.parametrize("masks", [0, 2])
def test_yolov8_columns_become_the_boxes_they_stand_for(unit: str, masks: int) -> None:
    prototypes = [(1, masks, 16, 24)] if masks else []
    preprocess, postprocess = known(picture(1, 3, 64, 96), (1, 6 + masks, 126), *prototypes)
    assert postprocess.head == ("yolov8_seg" if masks else "yolov8")
    columns = np.full((1, 6 + masks, 126), 0.01, np.float32)
    columns[0, :2] = np.linspace(4, 60, 126)
    columns[0, :6, 17] = [48, 12, 16, 16, 0.1, 0.8]
    columns[0, :6, 125] = [35, 40, 50, 40, 0.45, 0.35]
    columns[0, 6:] = 9.0  # a mask coefficient is no score
    if unit == "shares":
        columns[0, :4] /= np.float32([96, 64, 96, 64])[:, None]
    outputs = {"t0": columns, **({"t1": np.zeros(prototypes[0], np.float32)} if masks else {})}
    found = detect(outputs, postprocess, preprocess, same_size(preprocess))
    np.testing.assert_allclose(found.boxes, [[40, 4, 56, 20], [10, 20, 60, 60]], atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.8, 0.45], atol=1e-6)
    assert found.labels == ("class 1", "class 0")


def test_yolov5_rows_become_the_boxes_they_stand_for() -> None:
    preprocess, postprocess = known(picture(1, 3, 64, 96), (1, 378, 7))
    rows = np.full((1, 378, 7), 0.01, np.float32)
    rows[0, :, :2] = np.linspace(4, 60, 378)[:, None]
    rows[0, 17] = [48, 12, 16, 16, 0.9, 0.1, 0.8]
    rows[0, 377] = [35, 40, 50, 40, 0.5, 0.9, 0.2]
    found = detect({"t0": rows}, postprocess, preprocess, same_size(preprocess))
    np.testing.assert_allclose(found.boxes, [[40, 4, 56, 20], [10, 20, 60, 60]], atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.72, 0.45], atol=1e-6)
    assert found.labels == ("class 1", "class 0")


@pytest.mark.parametrize(("shape", "name"), [((1, 6, 126), "yolov8"), ((1, 378, 7), "yolov5")])
def test_when_every_class_counts_a_box_of_a_yolo_is_a_candidate_for_each(shape: tuple[int, ...], name: str) -> None:
    preprocess, postprocess = known(picture(1, 3, 64, 96), shape)
    array = np.full(shape, 0.9, np.float32)
    everything = msgspec.structs.replace(postprocess, parameters={"every_class": 1.0})
    count = array.size // (shape[1] if name == "yolov8" else shape[2])
    assert len(head(name).decode({"t": array}, preprocess, postprocess).scores) == count
    assert len(head(name).decode({"t": array}, preprocess, everything).scores) == 2 * count


@pytest.mark.parametrize("name", ["yolov8", "yolov5"])
def test_arrays_of_another_model_are_refused_by_a_yolo_head(name: str) -> None:
    preprocess, postprocess = known(picture(1, 3, 64, 96), (1, 6, 126))
    with pytest.raises(InputError, match=f"the {name} head needs an output of shape"):
        head(name).decode({"t": np.zeros((1, 9, 9), np.float32)}, preprocess, postprocess)


def test_yolox_exports_that_decode_inside_the_model_are_noticed() -> None:
    preprocess, postprocess = known(picture(1, 3, 64, 96), (1, 126, 6))
    rows = np.full((1, 126, 6), 40, np.float32)
    rows[..., 4:] = 0
    rows[0, 3] = [48, 32, 20, 10, 1.0, 0.9]
    found = detect({"t0": rows}, postprocess, preprocess, same_size(preprocess))
    np.testing.assert_allclose(found.boxes, [[38, 27, 58, 37]])


def test_a_yolox_box_has_one_label_unless_every_class_is_asked_for() -> None:
    preprocess, postprocess = known(picture(1, 3, 64, 96), (1, 126, 7))
    rows = np.zeros((1, 126, 7), np.float32)
    rows[0, 0] = [*yolox_row((0, 0), 8, (0, 0, 10, 10)), 1.0, 0.6, 0.7]
    assert detect({"t0": rows}, postprocess, preprocess, same_size(preprocess)).labels == ("class 1",)
    every = msgspec.structs.replace(postprocess, parameters={"every_class": 1.0})
    assert detect({"t0": rows}, every, preprocess, same_size(preprocess)).labels == ("class 1", "class 0")


def test_a_yolox_box_of_absurd_size_overflows_nothing() -> None:
    preprocess, postprocess = known(picture(1, 3, 64, 96), (1, 126, 6))
    rows = np.zeros((1, 126, 6), np.float32)
    rows[0, 0] = [0, 0, 500, 500, 1, 1]
    found = detect({"t0": rows}, postprocess, preprocess, same_size(preprocess))
    np.testing.assert_array_equal(found.boxes, [[0, 0, 96, 64]])


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_fastestdet_cells_become_the_boxes_they_stand_for(last: bool) -> None:
    shape = (1, 64, 96, 3) if last else (1, 3, 64, 96)
    preprocess, postprocess = known(picture(*shape), (1, 4, 6, 7) if last else (1, 7, 4, 6))
    cell = np.zeros((1, 4, 6, 7), np.float32)
    cell[0, 2, 3] = [0.81, np.arctanh(0.5), np.arctanh(-0.25), 0.0, np.log(1 / 3), 0.3, 0.7]
    array = cell if last else cell.transpose(0, 3, 1, 2)
    found = detect({"t0": array}, postprocess, preprocess, same_size(preprocess))
    np.testing.assert_allclose(found.boxes, [[56 - 24, 28 - 8, 56 + 24, 28 + 8]], atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.81**0.6 * 0.7**0.4], rtol=1e-6)
    assert found.labels == ("class 1",)


def test_yunet_gives_faces_with_five_landmarks_whatever_the_order_of_its_outputs() -> None:
    preprocess, postprocess = known(picture(1, 3, 64, 64), *yunet_shapes(64, 64))
    outputs: Arrays = {f"t{i}": np.zeros(shape, np.float32) for i, shape in enumerate(yunet_shapes(64, 64))}
    outputs["t1"][0, 5] = 0.81
    outputs["t4"][0, 5] = 1.7
    outputs["t7"][0, 5] = [0.5, 0.25, np.log(2), np.log(1.5)]
    outputs["t10"][0, 5] = np.arange(10) / 10
    expected_points = np.arange(10).reshape(5, 2) / 10 * 16 + (16, 16)
    for order in (list(outputs), list(outputs)[::-1]):
        found = detect({name: outputs[name] for name in order}, postprocess, preprocess, same_size(preprocess))
        np.testing.assert_allclose(found.boxes, [[24 - 16, 20 - 12, 24 + 16, 20 + 12]], atol=1e-4)
        np.testing.assert_allclose(found.scores, [0.9], rtol=1e-6)
        assert found.landmarks is not None
        np.testing.assert_allclose(found.landmarks[0], expected_points, rtol=1e-6)
        assert found.labels == ("face",)


def test_ultraface_boxes_are_shares_of_the_picture() -> None:
    preprocess, postprocess = known(picture(1, 3, 240, 320), (1, 9, 2), (1, 9, 4))
    scores, boxes = np.zeros((1, 9, 2), np.float32), np.zeros((1, 9, 4), np.float32)
    scores[0, 4], boxes[0, 4] = (0.1, 0.9), (0.25, 0.5, 0.5, 0.75)
    found = detect({"a": boxes, "b": scores}, postprocess, preprocess, same_size(preprocess))
    np.testing.assert_allclose(found.boxes, [[80, 120, 160, 180]])
    np.testing.assert_allclose(found.scores, [0.9])


def test_probabilities_are_kept_and_other_scores_are_softmaxed() -> None:
    preprocess, postprocess = known(picture(1, 1, 28, 28), (1, 3))
    np.testing.assert_allclose(classify({"t0": np.array([[0.2, 0.7, 0.1]])}, postprocess, preprocess), [0.2, 0.7, 0.1])
    softmaxed = classify({"t0": np.array([[0.0, np.log(2), 1000.0 - 1000.0]])}, postprocess, preprocess)
    np.testing.assert_allclose(softmaxed, [0.25, 0.5, 0.25])
    huge = classify({"t0": np.array([[1e4, -1e4, 0.0]])}, postprocess, preprocess)
    np.testing.assert_allclose(huge, [1, 0, 0])


def test_outputs_of_another_shape_are_named_with_theirs() -> None:
    cases = {
        "yolox": (picture(1, 3, 64, 96), [(1, 126, 7)]),
        "fastestdet": (picture(1, 3, 64, 96), [(1, 7, 4, 6)]),
        "yunet": (picture(1, 3, 64, 64), yunet_shapes(64, 64)),
        "ultraface": (picture(1, 3, 64, 64), [(1, 9, 2), (1, 9, 4)]),
    }
    for name, (inputs, outputs) in cases.items():
        preprocess, postprocess = known(inputs, *outputs)
        with pytest.raises(InputError, match=rf"the {name} head needs an output .* the model gave other \[1, 5, 5\]"):
            detect({"other": np.zeros((1, 5, 5), np.float32)}, postprocess, preprocess, same_size(preprocess))


def test_a_classifier_with_another_number_of_scores_is_refused() -> None:
    preprocess, postprocess = known(picture(1, 1, 28, 28), (1, 3))
    with pytest.raises(InputError, match="needs one output of 3 scores"):
        classify({"t0": np.zeros((1, 4), np.float32)}, postprocess, preprocess)


def test_yunet_needs_both_of_its_scores() -> None:
    preprocess, postprocess = known(picture(1, 3, 64, 64), *yunet_shapes(64, 64))
    outputs = {f"t{i}": np.zeros(shape, np.float32) for i, shape in enumerate(yunet_shapes(64, 64)) if i != 4}
    with pytest.raises(InputError, match=r"two outputs of shape \[1, 16, 1\], found 1"):
        detect(outputs, postprocess, preprocess, same_size(preprocess))


def test_nan_in_an_output_is_never_taken_for_nothing_found() -> None:
    preprocess, postprocess = known(picture(1, 3, 64, 96), (1, 126, 7))
    rows = np.zeros((1, 126, 7), np.float32)
    rows[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="output 't0' holds 1 NaN among 882 values"):
        detect({"t0": rows}, postprocess, preprocess, same_size(preprocess))
    preprocess, postprocess = known(picture(1, 1, 28, 28), (1, 3))
    with pytest.raises(InputError, match="hold NaN"):
        classify({"t0": np.array([[np.nan, 0, 1]])}, postprocess, preprocess)


def test_asking_a_classifier_for_boxes_or_a_detector_for_a_class_is_refused() -> None:
    preprocess, classifier = known(picture(1, 1, 28, 28), (1, 3))
    with pytest.raises(Unsupported, match="this model does classification, not detection"):
        detect({}, classifier, preprocess, same_size(preprocess))
    preprocess, detector = known(picture(1, 3, 64, 96), (1, 126, 7))
    with pytest.raises(Unsupported, match="this model does detection, not classification"):
        classify({}, detector, preprocess)


def test_an_unknown_head_gets_the_nearest_name() -> None:
    with pytest.raises(Unsupported, match="no head named 'yolo-x'") as caught:
        head("yolo-x")
    assert caught.value.hint == "did you mean 'yolox'?"


def test_every_file_in_heads_is_a_head() -> None:
    assert len(head_names()) >= 5
    for name in head_names():
        assert callable(head(name).recognise)
        assert callable(head(name).decode)
