r"""The whole way from a recording to events, beside the bare model and beside two loops that others write: same clip, same model, one run.

    python benchmarks/pipeline.py [CLIP...] [--detector ARTIFACT...] [--threads 1 2] [--frames 60] [--rounds 3] [--no-live]

Every loop is given the same number of threads for the model. `bare` feeds one session one prepared picture again and again. `edgekit` is what
`edgekit run camera --no-serve` does (decode, detect, track, rules; no motion gate, every frame): a session of one thread for each of
those threads. `supervision` reads with OpenCV, tracks with `trackers` and asks a line zone, `loop` is the plain `cv2.VideoCapture` loop: read,
letterbox, run, decode, draw; both have one session of so many threads. The peers get edgekit's own decoding of the model's head, which costs
them nothing extra. The rounds are interleaved and the medians reported. `--frames` takes the beginning of every clip; without a clip named
there are the two recordings of people as they are, and the first enlarged to 1280 x 720 and 1920 x 1080 (H.264, encoded anew). The two packages
stand beside edgekit, which needs neither:

    python -m pip install --no-deps supervision trackers pydeprecate matplotlib contourpy cycler fonttools kiwisolver \
        pyparsing python-dateutil six defusedxml tqdm requests charset-normalizer idna urllib3 certifi

Then four cameras at 5 frames a second with the motion gate, in real time; and the tracker alone with 20 objects. Rows of other detectors and
threads that the file of results holds from earlier runs stay, each with its conditions.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice, product
from operator import itemgetter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from time import perf_counter, sleep
from typing import Any

import av
import cv2
import msgspec
import numpy as np
from common import RESULTS, SHARED, conditions, write

from edgekit.apps.vision.analyst import Analyst
from edgekit.apps.vision.artifacts import opened
from edgekit.apps.vision.detector import Detector
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.lanes import Lanes, side_by_side
from edgekit.apps.vision.latest import Latest
from edgekit.apps.vision.live import OneAtATime
from edgekit.apps.vision.recorded import go_through
from edgekit.apps.vision.rules.read import parse_site
from edgekit.apps.vision.site import RUN_LIMIT_S
from edgekit.apps.vision.sources.open import open_source
from edgekit.apps.vision.tracking.bytetrack import ByteTrack
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.apps.vision.watchdog import Watchdog
from edgekit.models.persons import artifacts
from edgekit.runtimes.base import cores
from edgekit.runtimes.face import FaceSession
from edgekit.tasks.detection import Detections, detect
from edgekit.tasks.pictures.preprocess import Placement

SITE = """\
cameras:
  room:
    source: {source}
    detect: {{fps: {fps}, motion_gate: {gate}}}
    lines:
      exit: {{start: [0.72, 0.0], end: [0.72, 1.0], band: 0.02}}
    rules:
      - {{name: visit, line: exit}}
"""
CAMERAS, CAMERA_FPS = 4, 5
OBJECTS, TRACKED = 20, 400
CLIPS, SIZES = ("one-by-one-person-detection.mp4", "vtest_480x360.mp4"), ((1280, 720), (1920, 1080))
PACKAGES = ("av", "opencv-python-headless", "supervision", "trackers")


def camera_of(clip: Path, fps: int, gate: bool) -> Any:
    return parse_site(SITE.format(source=clip, fps=fps, gate="true" if gate else "false"), "pipeline").cameras[0]


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


def recordings(named: Sequence[Path], frames: int, folder: Path) -> list[Path]:
    """The clips that are gone through, each no longer than `frames`."""
    if named:
        return [shortened(clip, frames, folder) for clip in named]
    here = [shortened(SHARED / "videos" / name, frames, folder) for name in CLIPS]
    return [*here, *(enlarged(here[0], *size, folder) for size in SIZES)]


def shortened(clip: Path, frames: int, folder: Path) -> Path:
    """A copy of the clip's first packets, nothing encoded anew; the clip itself where all of it is wanted."""
    if not frames:
        return clip
    short = folder / clip.name
    with av.open(str(clip)) as whole, av.open(str(short), "w") as part:
        stream = part.add_stream_from_template(whole.streams.video[0])
        for packet in islice(whole.demux(whole.streams.video[0]), frames):
            if packet.dts is not None:
                packet.stream = stream
                part.mux(packet)
    return short


def enlarged(clip: Path, width: int, height: int, folder: Path) -> Path:
    """The clip at another size."""
    large = folder / f"{clip.stem}-{height}p.mp4"
    with av.open(str(clip)) as before, av.open(str(large), "w") as after:
        rate = before.streams.video[0].average_rate
        stream = after.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in before.decode(video=0):
            after.mux(stream.encode(frame.reformat(width, height, "yuv420p", interpolation="BICUBIC")))
        after.mux(stream.encode())
    return large


def compared(found: Mapping[str, Callable[[Path, int], int]], clip: Path, rounds: int) -> dict[str, Any]:
    """Frames a second of every loop, and edgekit's as a share of the others'."""
    frames = found["edgekit"](clip, 0)
    rates: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, loop in found.items():
            begun = perf_counter()
            rates[name].append(loop(clip, frames) / (perf_counter() - begun))
    fps = {name: round(median(each), 2) for name, each in rates.items()}
    return {
        "frames": frames,
        "fps": fps,
        "edgekit_of": {name: round(fps["edgekit"] / rate, 3) for name, rate in fps.items() if name != "edgekit"},
        "rounds": {name: [round(rate, 2) for rate in each] for name, each in rates.items()},
    }


def rows_of(detector: Path, threads: int, clips: Sequence[Path], rounds: int) -> Iterator[dict[str, Any]]:
    """One row for every clip."""
    with loops(detector, threads) as found:
        for clip in clips:
            with av.open(str(clip)) as container:
                video = container.streams.video[0]
                size = f"{video.width}x{video.height}"
            key = {"detector": detector.name, "threads": threads, "clip": clip.name, "size": size}
            yield {**key, **compared(found, clip, rounds), "conditions": conditions(*PACKAGES)}


def with_earlier(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows, behind those of other detectors, threads and clips that were measured before."""
    file, key = RESULTS / "pipeline.json", itemgetter("detector", "threads", "clip")
    before = json.loads(file.read_text("utf-8"))["loops"] if file.is_file() else []
    new = {key(row) for row in rows}
    return [*(row for row in before if key(row) not in new), *rows]


class Paced:
    """One camera in real time: a thread that puts the clip's frames at their times, one that looks at the newest."""

    def __init__(self, clip: Path, detector: OneAtATime, seconds: float) -> None:
        self._camera, self._detector, self._seconds = camera_of(clip, CAMERA_FPS, True), detector, seconds
        self._latest: Latest[Frame] = Latest()
        self.looks, self.skipped, self.events = 0, 0, 0
        self.threads = [Thread(target=self._put), Thread(target=self._look)]

    @property
    def dropped(self) -> int:
        return self._latest.dropped

    def _put(self) -> None:
        with frames_of(self._camera) as frames:
            begun = perf_counter()
            for frame in frames:
                if frame.time_s > self._seconds:
                    break
                sleep(max(begun + frame.time_s - perf_counter(), 0))
                self._latest.put(frame)
        self._latest.close()

    def _look(self) -> None:
        analyst = Analyst(self._camera, self._detector)
        while not self._latest.closed:
            frame = self._latest.take(0.5)
            if frame is not None:
                look = analyst.look(frame)
                self.looks, self.skipped = self.looks + 1, self.skipped + look.skipped
                self.events += sum(event.end_s is not None for event in look.events)
        self.events += len(analyst.finish())


@contextmanager
def frames_of(camera: Any) -> Iterator[Iterator[Frame]]:
    """The clip's frames at the camera's rate."""
    capture, due_s = open_source(camera.source), 0.0

    def thinned() -> Iterator[Frame]:
        nonlocal due_s
        while (frame := capture.read()) is not None:
            if frame.time_s >= due_s - 1e-6:
                due_s += 1 / camera.detect.fps
                yield frame

    try:
        yield thinned()
    finally:
        capture.close()


def unhurried(clip: Path, session: FaceSession, seconds: float) -> int:
    """Events of the same frames without a clock: what must not be lost."""
    camera, events = camera_of(clip, CAMERA_FPS, True), 0
    analyst = Analyst(camera, Detector(session, wanted=frozenset({"person"})))
    with frames_of(camera) as frames:
        for frame in frames:
            if frame.time_s > seconds:
                break
            events += sum(event.end_s is not None for event in analyst.look(frame).events)
    return events + len(analyst.finish())


def four_cameras(session: FaceSession, clip: Path, seconds: float) -> dict[str, Any]:
    """Four cameras on one detector: frames that came too late and events that were lost."""
    expected = unhurried(clip, session, seconds)
    detector = OneAtATime(Detector(session, wanted=frozenset({"person"})), Lock(), Watchdog("detector", RUN_LIMIT_S))
    cameras = [Paced(clip, detector, seconds) for _ in range(CAMERAS)]
    for thread in (thread for camera in cameras for thread in camera.threads):
        thread.start()
    for thread in (thread for camera in cameras for thread in camera.threads):
        thread.join()
    return {
        "cameras": CAMERAS,
        "fps": CAMERA_FPS,
        "seconds": seconds,
        "looks": [camera.looks for camera in cameras],
        "without_detection": [camera.skipped for camera in cameras],
        "frames_dropped": [camera.dropped for camera in cameras],
        "events": [camera.events for camera in cameras],
        "events_expected_each": expected,
        "events_dropped": sum(max(expected - camera.events, 0) for camera in cameras),
    }


def tracker_ms() -> float:
    """Median milliseconds of one update with 20 objects that wander."""
    chance, tracker = np.random.default_rng(0), ByteTrack()
    corners = chance.uniform(0, 900, (OBJECTS, 2))
    speeds, sizes, took = chance.normal(0, 3, (OBJECTS, 2)), chance.uniform(30, 90, (OBJECTS, 2)), []
    for number in range(TRACKED):
        moved = corners + speeds * number / 10 + chance.normal(0, 1, (OBJECTS, 2))
        found = Boxes(
            boxes=np.concatenate([moved, moved + sizes], axis=1),
            scores=chance.uniform(0.3, 0.95, OBJECTS),
            class_ids=np.zeros(OBJECTS, np.int64),
        )
        begun = perf_counter()
        tracker.update(found, number / 10)
        took.append(perf_counter() - begun)
    return round(1000 * median(took), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="*")
    parser.add_argument("--detector", type=Path, nargs="*", default=[artifacts()[0]])
    parser.add_argument("--threads", type=int, nargs="*", default=sorted({1, cores(0)}))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--frames", type=int, default=60, metavar="N", help="the loops see each clip's first N frames (0: all; default: 60)"
    )
    parser.add_argument("--live-seconds", type=float, default=30.0)
    parser.add_argument("--no-live", action="store_true", help="only the loops; the rest stays as it was measured")
    arguments = parser.parse_args()
    with TemporaryDirectory() as scratch:
        clips = recordings(arguments.clips, arguments.frames, Path(scratch))
        rows = []
        for detector, threads in product(arguments.detector, arguments.threads):
            cv2.setNumThreads(threads)
            rows += list(rows_of(detector, threads, clips, arguments.rounds))
    result = {"loops": with_earlier(rows), **(kept() if arguments.no_live else live(arguments.live_seconds))}
    write("pipeline", result)


def kept() -> dict[str, Any]:
    """What an earlier run wrote beside its loops."""
    before = json.loads((RESULTS / "pipeline.json").read_text("utf-8"))
    return {name: value for name, value in before.items() if name != "loops"}


def live(seconds: float) -> dict[str, Any]:
    """Four cameras, and the tracker, with the detector in the box."""
    with opened(artifacts()[0], threads=1) as session:
        cameras = four_cameras(session, SHARED / "videos" / CLIPS[0], seconds)
        about = {"detector": session.artifact.path.name, "runtime": session.runtime, "threads": 1}
    return {"live": {**about, **cameras}, "tracker_20_objects_ms": tracker_ms(), "conditions": conditions(*PACKAGES)}


if __name__ == "__main__":
    main()
