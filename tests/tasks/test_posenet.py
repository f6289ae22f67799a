"""PoseNet's maps as people: drawn from known points, and from its own model where that is here."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.converters.tflite_file.read import parse
from edgekit.core.errors import InputError
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.recognise import recognise
from edgekit.tasks.detection import Detections, detect
from edgekit.tasks.heads.posenet import LIMBS
from edgekit.tasks.pictures.preprocess import Placement

HEIGHT, WIDTH, STRIDE, REACH = 353, 481, 16, 2.5
ROWS, COLUMNS = 23, 31
Points = NDArray[np.float64]
Maps = dict[str, NDArray[np.float32]]

STANDING = np.array(
    [
        [0, -70], [4, -74], [-4, -74], [9, -71], [-9, -71], [20, -50], [-20, -50], [27, -20], [-27, -20],
        [30, 8], [-30, 8], [12, 8], [-12, 8], [14, 50], [-14, 50], [15, 92], [-15, 92],
    ],
    np.float64,
)  # fmt: skip
"""x and y of COCO's points about a person's middle, in pixels; the left side is at the right of the picture."""


def at(x: float, y: float, grown: float = 1.0) -> Points:
    return STANDING * grown + (x, y)


def drawn(*people: Points, split: bool = False) -> Maps:
    """The maps that a perfect network gives: each cell near a point knows that point of the nearest person."""
    heat = np.full((ROWS, COLUMNS, 17), -8.0)
    exact, ways = np.zeros((ROWS, COLUMNS, 2, 17)), np.zeros((ROWS, COLUMNS, 2, 2, 16))
    cells = np.stack(np.mgrid[:ROWS, :COLUMNS], axis=-1)[..., ::-1] * STRIDE
    for point in range(17):
        far = np.stack([np.hypot(*np.moveaxis(cells - person[point], -1, 0)) / STRIDE for person in people])
        for row, column in zip(*np.nonzero(far.min(axis=0) <= REACH), strict=True):
            person = people[int(far[:, row, column].argmin())]
            heat[row, column, point] = 5 - 3 * far[:, row, column].min()
            exact[row, column, :, point] = (person[point] - cells[row, column])[::-1]
            for limb, ends in enumerate(LIMBS):
                for back in (0, 1):
                    if ends[back] == point:
                        ways[row, column, back, :, limb] = (person[ends[1 - back]] - cells[row, column])[::-1]
    limbs = ways.reshape(ROWS, COLUMNS, 64)
    parts = {"there": limbs[..., :32], "back": limbs[..., 32:]} if split else {"limbs": limbs}
    made = {"heat": heat, "exact": exact.reshape(ROWS, COLUMNS, 34), **parts}
    return {name: part[None].astype(np.float32) for name, part in made.items()}


def known(maps: Maps) -> tuple[Preprocess, Postprocess] | None:
    picture = TensorSpec(name="in", shape=(1, HEIGHT, WIDTH, 3), dtype="float32")
    return recognise([picture], [TensorSpec(name=name, shape=part.shape, dtype="float32") for name, part in maps.items()])


def found_in(maps: Maps) -> Detections:
    answer = known(maps)
    assert answer is not None and answer[1].head == "posenet"
    same = Placement(image_width=WIDTH, image_height=HEIGHT, scale_x=1.0, scale_y=1.0)
    return detect(maps, answer[1], answer[0], same)


PEOPLE = {
    "nobody": [],
    "one": [at(200, 160)],
    "two, a size apart": [at(120, 170), at(330, 150, 1.4)],
    "two, shoulder to shoulder": [at(200, 170), at(262, 165)],
    "three, one at the edge": [at(40, 120), at(240, 200), at(420, 160)],
}


@pytest.mark.parametrize("split", [False, True], ids=["one map of limbs", "one out and one back"])
@pytest.mark.parametrize("people", PEOPLE.values(), ids=PEOPLE.keys())
def test_people_are_decoded_to_within_a_pixel(people: list[Points], split: bool) -> None:
    found = found_in(drawn(*people, split=split) if people else drawn(at(-900, -900), split=split))
    assert len(found) == len(people)
    assert found.keypoints is not None and found.keypoints.shape == (len(people), 17, 3)
    for person in people:
        off = np.abs(found.keypoints[:, :, :2] - person).max(axis=(1, 2))
        nearest = int(off.argmin())
        assert off[nearest] < 1
        np.testing.assert_allclose(found.boxes[nearest], [*person.min(axis=0), *person.max(axis=0)], atol=1)
        assert found.scores[nearest] > 0.8


def test_a_person_found_from_a_second_point_is_the_same_person() -> None:
    """All 17 points are likely enough to begin with, and the same person begins but once."""
    found = found_in(drawn(at(200, 160)))
    assert len(found) == 1
    assert found.keypoints is not None and (found.keypoints[0, :, 2] > 0.5).all()


def test_a_point_that_is_hidden_is_placed_and_said_to_be_unsure() -> None:
    maps = drawn(at(200, 160))
    maps["heat"][..., 16] = -8
    found = found_in(maps)
    assert len(found) == 1 and found.keypoints is not None
    assert found.keypoints[0, 16, 2] < 0.01
    assert np.abs(found.keypoints[0, 16, :2] - at(200, 160)[16]).max() < 1


WRONG = {
    "heat of another grid": ("heat", (1, 22, 31, 17)),
    "offsets of another grid": ("exact", (1, 23, 30, 34)),
    "half the limbs": ("limbs", (1, 23, 31, 32)),
    "no batch": ("limbs", (23, 31, 64)),
}


@pytest.mark.parametrize(("name", "shape"), WRONG.values(), ids=WRONG.keys())
def test_maps_of_other_shapes_are_refused(name: str, shape: tuple[int, ...]) -> None:
    answer = known(drawn(at(200, 160)))
    assert answer is not None
    maps = {**drawn(at(200, 160)), name: np.zeros(shape, np.float32)}
    assert known(maps) is None
    same = Placement(image_width=WIDTH, image_height=HEIGHT, scale_x=1.0, scale_y=1.0)
    with pytest.raises(InputError):
        detect(maps, answer[1], answer[0], same)


def test_a_grid_that_does_not_fit_the_input_and_numbers_without_end_are_refused() -> None:
    maps, same = drawn(at(200, 160)), Placement(image_width=WIDTH, image_height=HEIGHT, scale_x=1.0, scale_y=1.0)
    answer = known(maps)
    assert answer is not None
    with pytest.raises(InputError, match="a grid of 23 x 31 does not fit an input of 353 x 500"):
        detect(maps, answer[1], msgspec.structs.replace(answer[0], width=500), same)
    maps["limbs"][0, 3, 3, 3] = np.inf
    with pytest.raises(InputError, match="NaN or infinity"):
        detect(maps, answer[1], answer[0], same)


def test_vectors_that_lead_out_of_the_picture_stay_in_it_and_noise_ends() -> None:
    chance = np.random.default_rng(0)
    maps = {name: (chance.normal(size=part.shape) * 1e6).astype(np.float32) for name, part in drawn(at(200, 160)).items()}
    found = found_in(maps)
    assert found.keypoints is not None and len(found) <= 30
    assert (found.boxes >= 0).all() and (found.boxes <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()


def test_coral_s_own_network_finds_the_face_in_a_portrait(shared_data: Path, tmp_path: Path) -> None:
    """Its published file ends in a decoder that only the Edge TPU's library has: without it the maps are decoded here. The places
    (nose, left eye, right eye, in shares of the picture) were read off the photograph by eye."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    from edgekit.adoption import adopt
    from edgekit.loading import open_artifact
    from edgekit.tasks.pictures.images import read_image
    from edgekit.tasks.pictures.preprocess import prepare

    model = tmp_path / "posenet.tflite"
    published = shared_data / "models_coral" / "posenet_mobilenet_v1_075_353_481_16_quant_decoder.tflite"
    model.write_bytes(undecoded(published.read_bytes()))
    picture = read_image(shared_data / "images_coral" / "grace_hopper.bmp")
    with open_artifact(adopt(model, tmp_path / "posenet")) as session:
        preprocess, postprocess = session.artifact.manifest.preprocess, session.artifact.manifest.postprocess
        assert preprocess is not None and postprocess is not None and postprocess.head == "posenet"
        prepared = prepare(picture, preprocess)
        found = detect(session.run({preprocess.input: prepared.array}), postprocess, preprocess, prepared.placement)
    assert found.keypoints is not None
    face = found.keypoints[0, :3, :2] / [picture.shape[1], picture.shape[0]]
    np.testing.assert_allclose(face, [[0.52, 0.38], [0.59, 0.30], [0.43, 0.32]], atol=0.04)


def test_coral_s_own_network_gives_a_camera_its_poses(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
    from edgekit.apps.vision.frames import from_rgb
    from edgekit.apps.vision.networks.artifacts import opened
    from edgekit.apps.vision.poses.many_poses import pose_model
    from edgekit.tasks.pictures.images import read_image

    model = tmp_path / "posenet.tflite"
    published = shared_data / "models_coral" / "posenet_mobilenet_v1_075_353_481_16_quant_decoder.tflite"
    model.write_bytes(undecoded(published.read_bytes()))
    picture = read_image(shared_data / "images_coral" / "grace_hopper.bmp")
    height, width = picture.shape[:2]
    with opened(model) as session:
        pose = pose_model(session)(from_rgb(picture, number=0, time_s=0.0), np.array([0.0, 0.0, width, height]))
    np.testing.assert_allclose(pose.points[0] / [width, height], [0.52, 0.38], atol=0.04)


def undecoded(data: bytes) -> bytes:
    """The file without its last operator, whose inputs are the outputs instead: two lengths and a list in its graph change."""
    last = parse(data).operators[-1]
    graphs = _vector(data, _table(data, 0), 2)
    outputs, operators = (_vector(data, _table(data, graphs + 4), slot) for slot in (2, 3))
    changed = bytearray(data)
    struct.pack_into("<I3i", changed, outputs, 3, *last.inputs)
    struct.pack_into("<I", changed, operators, last.index)
    return bytes(changed)


def _vector(data: bytes, table: int, slot: int) -> int:
    """Where a field's vector begins: with its length."""
    names = table - struct.unpack_from("<i", data, table)[0]
    field = table + struct.unpack_from("<H", data, names + 4 + 2 * slot)[0]
    return _table(data, field)


def _table(data: bytes, at: int) -> int:
    """Where a reference leads."""
    return at + int(struct.unpack_from("<I", data, at)[0])
