"""Tracks: identities that last, memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.apps.vision.tracking.assign import assign
from edgekit.apps.vision.tracking.bytetrack import ByteTrack, TrackerSettings
from edgekit.apps.vision.tracking.interchange import from_supervision, to_supervision
from edgekit.apps.vision.tracking.tracks import Boxes, no_boxes


def boxes(*rows: tuple[float, ...], score: float = 0.9) -> Boxes:
    corners = np.array(rows, np.float64).reshape(-1, 4)
    return Boxes(boxes=corners, scores=np.full(len(corners), score), class_ids=np.zeros(len(corners), np.int64))


def test_one_blink_of_a_detector_is_no_track() -> None:
    tracker = ByteTrack()
    assert len(tracker.update(boxes((0, 0, 10, 20)), 0.0)) == 0
    assert len(tracker.update(no_boxes(), 0.1)) == 0
    assert len(tracker.update(no_boxes(), 5.0)) == 0


def test_two_who_cross_keep_their_identities() -> None:
    tracker, seen = ByteTrack(), []
    for step in range(40):
        found = boxes((10 + 8 * step, 50, 40 + 8 * step, 130), (330 - 8 * step, 60, 360 - 8 * step, 140))
        seen.append(tracker.update(found, step / 10))
    first, last = seen[2], seen[-1]
    left = int(first.ids[first.boxes[:, 0].argmin()])
    assert int(last.ids[last.boxes[:, 0].argmax()]) == left
    assert {int(track) for tracks in seen for track in tracks.ids} == {1, 2}


def test_a_weak_detection_continues_a_track_and_begins_none() -> None:
    tracker = ByteTrack()
    for step in range(3):
        tracker.update(boxes((0, 0, 20, 60)), step / 10)
    tracks = tracker.update(boxes((0, 0, 20, 60), (200, 0, 220, 60), score=0.2), 0.3)
    assert list(tracks.ids) == [1] and tracks.fresh.all()
    assert len(tracker.update(boxes((200, 0, 220, 60), score=0.2), 0.4)) == 1


def test_what_is_only_weak_keeps_a_track_for_some_seconds_and_not_for_ever() -> None:
    tracker, seen = ByteTrack(TrackerSettings(weak_s=3.0)), []
    for step in range(100):
        seen.append(len(tracker.update(boxes((0, 0, 20, 60), score=0.9 if step < 10 else 0.2), step / 10)))
    assert seen[1:38] == [1] * 37
    assert seen[-1] == 0


def test_who_is_hidden_for_a_second_is_the_same_person_after() -> None:
    tracker = ByteTrack()
    for step in range(10):
        tracker.update(boxes((10 * step, 0, 30 + 10 * step, 80)), step / 10)
    for step in range(10, 20):
        tracker.update(no_boxes(), step / 10)
    again = tracker.update(boxes((200, 0, 230, 80)), 2.0)
    assert list(again.ids) == [1]
    tracker.update(no_boxes(), 10.0)
    assert len(tracker.current()) == 0


def test_a_person_is_never_continued_by_a_dog() -> None:
    tracker = ByteTrack()
    for step in range(3):
        tracker.update(boxes((0, 0, 20, 60)), step / 10)
    dog = Boxes(boxes=np.array([[0.0, 0, 20, 60]]), scores=np.array([0.9]), class_ids=np.array([16]))
    assert not tracker.update(dog, 0.3).fresh.any()


def test_memory_is_bounded_however_many_detections_come() -> None:
    tracker, generator = ByteTrack(TrackerSettings(most=50)), np.random.default_rng(0)
    for step in range(30):
        corners = generator.uniform(0, 5000, (300, 2))
        found = Boxes(boxes=np.hstack([corners, corners + 20]), scores=np.full(300, 0.9), class_ids=np.zeros(300, np.int64))
        assert len(tracker.update(found, step / 10)) <= 50


@pytest.mark.parametrize("times", [[0.0, 0.1, -5.0, 0.2], [0.0, 1e9, 1e9, 1e9]])
def test_clocks_may_jump(times: list[float]) -> None:
    tracker = ByteTrack()
    for time_s in times:
        tracks = tracker.update(boxes((0, 0, 20, 60)), time_s)
    assert np.isfinite(tracks.boxes).all()


def test_the_assignment_is_the_best_and_keeps_what_is_left() -> None:
    pairs = assign(np.array([[0.9, 0.8], [0.8, 0.1], [0.0, 0.0]]), 0.3)
    assert sorted(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert pairs.first_left.tolist() == [2]
    assert len(assign(np.empty((0, 3)), 0.3).second_left) == 3


def test_supervision_takes_tracks_and_gives_detections() -> None:
    pytest.importorskip("supervision", reason="supervision is not installed")
    tracker = ByteTrack()
    for step in range(3):
        tracks = tracker.update(boxes((0, 0, 20, 60), (100, 0, 130, 80)), step / 10)
    theirs = to_supervision(tracks)
    assert theirs.tracker_id.tolist() == [1, 2]
    back = from_supervision(theirs)
    assert np.allclose(back.boxes, tracks.boxes, atol=1e-3) and np.allclose(back.scores, tracks.scores)
