"""The loops that `pipeline.py` compares: the bare model, edgekit's own way, and two that others write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cv2
import msgspec
import numpy as np
from pipeline_site import camera_of

from edgekit.apps.vision.analysis.analyst import Analyst
from edgekit.apps.vision.analysis.recorded import go_through
from edgekit.apps.vision.networks.artifacts import opened
from edgekit.apps.vision.networks.detector import Detector
from edgekit.apps.vision.networks.lanes import Lanes, side_by_side
from edgekit.apps.vision.sources.open import open_source
from edgekit.runtimes.face import FaceSession
from edgekit.tasks.detection import Detections, detect
from edgekit.tasks.pictures.preprocess import Placement


def bare(session: FaceSession, frames: int) -> int:
    """The model alone."""
    (spec,) = session.inputs
    feed = {spec.name: np.zeros(spec.shape, np.float32)}
    for _ in range(frames):
        session.run(feed)
    return frames


def whole(lanes: Lanes, clip: Path) -> int:
    """edgekit's own way, every frame."""
    camera, detector = camera_of(clip, 60, False), Detector(lanes, wanted=frozenset({"person"}))
    capture = open_source(camera.source)
    try:
        return go_through(capture, Analyst(camera, detector), detector.labels).looks
    finally:
        capture.close()


class Peer:
    """What loops around OpenCV do before and behind the model: letterbox the frame in BGR, run, decode."""

    def __init__(self, session: FaceSession) -> None:
        manifest = session.artifact.manifest
        assert manifest.preprocess is not None and manifest.postprocess is not None
        self._session, self._pre = session, manifest.preprocess
        self._post = msgspec.structs.replace(manifest.postprocess, score_threshold=0.1)

    def __call__(self, image: np.ndarray) -> Detections:
        pre = self._pre
        height, width = image.shape[:2]
        ratio = min(pre.width / width, pre.height / height)
        columns, rows = int(width * ratio), int(height * ratio)
        canvas = np.full((pre.height, pre.width, 3), pre.pad_value, np.uint8)
        canvas[:rows, :columns] = cv2.resize(image, (columns, rows))
        pixels = canvas if pre.color == "bgr" else canvas[:, :, ::-1]
        array = pixels.astype(np.float32) * np.float32(pre.scale)
        array = np.ascontiguousarray(array.transpose(2, 0, 1)[None] if pre.layout == "nchw" else array[None])
        outputs = self._session.run({pre.input: array})
        place = Placement(image_width=width, image_height=height, scale_x=columns / width, scale_y=rows / height)
        return detect(outputs, self._post, pre, place, most=100)


def supervised(session: FaceSession, clip: Path) -> int:
    """OpenCV, supervision, trackers."""
    import supervision
    from trackers import ByteTrackTracker

    peer, tracker, done = Peer(session), ByteTrackTracker(), 0
    for image in supervision.get_video_frames_generator(str(clip)):
        found = peer(image)
        tracked = tracker.update(
            supervision.Detections(xyxy=found.boxes, confidence=found.scores, class_id=found.class_ids.astype(int))
        )
        if not done:
            height, width = image.shape[:2]
            ends = [supervision.Point(0.72 * width, y) for y in (0, height)]
            line = supervision.LineZone(*ends, triggering_anchors=[supervision.Position.BOTTOM_CENTER])
        line.trigger(tracked)
        done += 1
    return done


def looped(session: FaceSession, clip: Path) -> int:
    """`cv2.VideoCapture`, the model, boxes drawn into the frame, as the usual examples do."""
    peer, done, capture = Peer(session), 0, cv2.VideoCapture(str(clip))
    while True:
        read, image = capture.read()
        if not read:
            capture.release()
            return done
        found = peer(image)
        for (left, top, right, bottom), score in zip(found.boxes.astype(int), found.scores, strict=True):
            if score >= 0.4:
                cv2.rectangle(image, (int(left), int(top)), (int(right), int(bottom)), (0, 255, 0), 2)
                cv2.putText(image, f"person {score:.2f}", (int(left), int(top)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 0))
        done += 1


@contextmanager
def loops(detector: Path, threads: int) -> Iterator[Mapping[str, Callable[[Path, int], int]]]:
    """What is compared: each goes through a clip of so many frames, and says how many it saw."""
    with opened(detector, threads=threads) as session, side_by_side(detector, threads=threads) as lanes:
        yield {
            "bare": lambda clip, frames: bare(session, frames),
            "edgekit": lambda clip, frames: whole(lanes, clip),
            "supervision": lambda clip, frames: supervised(session, clip),
            "loop": lambda clip, frames: looped(session, clip),
        }
