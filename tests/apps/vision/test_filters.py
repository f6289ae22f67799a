"""Filters: drawn where the face is, as large as it is and turned as it is; and what blurring leaves of a real face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.apps.vision.analysis.analyst import Look
from edgekit.apps.vision.analysis.motion import Motion
from edgekit.apps.vision.frames import from_rgb
from edgekit.apps.vision.poses.keypoints import Pose
from edgekit.apps.vision.privacy.faces import blurred
from edgekit.apps.vision.rules.read import parse_site
from edgekit.apps.vision.rules.rewrite import rewritten
from edgekit.apps.vision.rules.settings import Filter
from edgekit.apps.vision.showing.filters import FILTERS, Face, decorated, face_of, face_of_landmarks, filtered
from edgekit.apps.vision.tracking.people import People
from edgekit.apps.vision.tracking.tracks import Tracks
from edgekit.core.errors import InputError
from edgekit.tasks.detection import Detections, detect
from edgekit.tasks.pictures.images import read_image
from edgekit.tasks.pictures.preprocess import prepare

pytest.importorskip("PIL", reason="Pillow (extra images) is not installed")
DRAWN = tuple(name for name in FILTERS if name != "none")
FACE = Face(left_eye=np.array([180.0, 120.0]), right_eye=np.array([140.0, 120.0]), nose=np.array([160.0, 145.0]))
WHERE = {"glasses": (160, 120), "hat": (160, 49), "moustache": (160, 156)}
"""Where the middle of each is on `FACE`."""


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """x and y of every pixel that is another: [N, 2]."""
    return np.argwhere((before != after).any(axis=2))[:, ::-1]


@pytest.mark.parametrize("name", DRAWN)
def test_a_filter_lies_where_it_belongs_and_nowhere_else(name: Filter) -> None:
    paper = np.full((240, 320, 3), 200, np.uint8)
    places = changed(paper, decorated(paper, [FACE], name))
    assert np.abs((places.min(axis=0) + places.max(axis=0)) / 2 - WHERE[name]).max() < 8
    assert (np.ptp(places, axis=0) < (4 * 40, 2 * 40)).all() and np.ptp(places[:, 0]) > 40
    assert paper.min() == 200, "the picture itself is left alone"


@pytest.mark.parametrize("name", DRAWN)
def test_a_filter_turns_and_grows_with_the_face(name: Filter) -> None:
    """The face lies on its side and is twice as large: what is drawn is the same, turned and grown about the face's middle."""
    turned = Face(left_eye=np.array([160.0, 240.0]), right_eye=np.array([160.0, 160.0]), nose=np.array([110.0, 200.0]))
    paper = np.full((400, 400, 3), 200, np.uint8)
    upright = changed(paper, decorated(paper, [FACE], name)) - (160, 120)
    lying = changed(paper, decorated(paper, [turned], name)) - (160, 200)
    wanted = np.stack([-upright[:, 1], upright[:, 0]], axis=1) * 2
    np.testing.assert_allclose(lying.min(axis=0), wanted.min(axis=0), atol=5)
    np.testing.assert_allclose(lying.max(axis=0), wanted.max(axis=0), atol=5)


def look_at(picture: np.ndarray, box: list[float], pose: Pose | None) -> Look:
    tracks = Tracks(
        boxes=np.array([box]),
        scores=np.ones(1),
        class_ids=np.zeros(1, np.int64),
        ids=np.ones(1, np.int64),
        fresh=np.ones(1, bool),
        since_s=np.zeros(1),
        seen_s=np.zeros(1),
    )
    return Look(
        frame=from_rgb(picture, number=0, time_s=0.0),
        motion=Motion(moving=True, share=1.0),
        people=People(tracks=tracks, poses={} if pose is None else {1: pose}),
        signs=(),
        events=(),
        skipped=False,
    )


def posed(face: Face, score: float = 0.9) -> Pose:
    points, scores = np.zeros((17, 2)), np.zeros(17)
    points[:3], scores[:3] = [face.nose, face.left_eye, face.right_eye], score
    return Pose(points=points, scores=scores)


def test_the_faces_of_poses_are_decorated_in_a_picture_of_any_size() -> None:
    paper = np.full((240, 320, 3), 200, np.uint8)
    look = look_at(paper, [100, 50, 220, 240], posed(FACE))
    large = np.full((480, 640, 3), 200, np.uint8)
    places = changed(large, filtered(large, look, "glasses"))
    assert np.abs((places.min(axis=0) + places.max(axis=0)) / 2 - (320, 240)).max() < 10


@pytest.mark.parametrize("name", FILTERS)
def test_nothing_is_drawn_without_a_face_that_is_seen(name: Filter) -> None:
    paper = np.full((240, 320, 3), 200, np.uint8)
    far = Face(left_eye=np.array([162.0, 100.0]), right_eye=np.array([160.0, 100.0]), nose=np.array([161.0, 101.0]))
    assert face_of(posed(FACE, 0.1)) is None
    for pose in (None, posed(FACE, 0.1), posed(far)):
        assert filtered(paper, look_at(paper, [100, 50, 220, 240], pose), name) is paper


SITE = "cameras:\n  yard:  # the gate\n    source: synthetic:64x48\n    filter: hat\n"


def test_a_filter_is_written_in_the_sites_file_and_changed_in_it() -> None:
    (camera,) = parse_site(SITE, "site.yaml").cameras
    assert camera.filter == "hat"
    assert rewritten(SITE, "site.yaml", replace(camera, filter="glasses")) == SITE.replace("hat", "glasses")
    plain = SITE.replace("    filter: hat\n", "")
    assert rewritten(plain, "site.yaml", replace(camera, filter="hat")) == SITE
    with pytest.raises(InputError, match="line 4"):
        parse_site(SITE.replace("hat", "crown"), "site.yaml")


PORTRAIT = "grace_hopper.bmp"


@pytest.fixture(scope="module")
def faces_in(shared_data: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """YuNet, converted here, as a function of a picture."""
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    model = shared_data / "models_onnx" / "yunet_n_640_640.onnx"
    artifact = edgekit.convert(model, target="cpu", precision="fp32", output=tmp_path_factory.mktemp("yunet"))
    with edgekit.load(artifact.path, threads=1) as session:

        def found(picture: np.ndarray) -> Detections:
            manifest = session.artifact.manifest
            assert manifest.preprocess is not None and manifest.postprocess is not None
            prepared = prepare(picture, manifest.preprocess)
            outputs = session.run({manifest.preprocess.input: prepared.array})
            return detect(outputs, manifest.postprocess, manifest.preprocess, prepared.placement)

        yield found


@pytest.mark.parametrize("name", DRAWN)
def test_a_filter_sits_on_a_real_face(shared_data: Path, faces_in, name: Filter) -> None:  # type: ignore[no-untyped-def]
    """On a portrait: glasses within the face that YuNet found, a moustache in its lower half, a hat that reaches above it."""
    picture = read_image(shared_data / "images_coral" / PORTRAIT)
    found = faces_in(picture)
    assert len(found) == 1 and found.landmarks is not None
    places = changed(picture, decorated(picture, [face_of_landmarks(found.landmarks[0])], name))
    left, top, right, bottom = found.boxes[0]
    middle = (top + bottom) / 2
    assert left - 20 < np.median(places[:, 0]) < right + 20
    low, high = np.percentile(places[:, 1], (2, 98))
    assert {"glasses": top < low and high < middle + 20, "moustache": middle < low and high < bottom, "hat": low < top}[name]


@pytest.mark.parametrize("points", [False, True], ids=["upper part of the box", "points of the face"])
def test_of_a_real_face_that_was_blurred_a_face_detector_finds_nothing(shared_data: Path, faces_in, points: bool) -> None:  # type: ignore[no-untyped-def]
    picture = read_image(shared_data / "images_coral" / PORTRAIT)
    before = faces_in(picture)
    assert len(before) == 1 and before.scores[0] > 0.8 and before.landmarks is not None
    height, width = picture.shape[:2]
    pose = posed(face_of_landmarks(before.landmarks[0])) if points else None
    person = [0.05 * width, 0.03 * height, 0.98 * width, 2.0 * height]  # she stands: the picture ends at her chest
    after = blurred(picture, look_at(picture, person, pose))
    assert len(faces_in(after)) == 0
