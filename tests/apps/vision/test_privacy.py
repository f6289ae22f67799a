"""Masks and faces: what nobody may see is in no frame, no picture, no snapshot and no clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cameras import FigureFinder

from edgekit.apps.vision.analysis.analyst import Look
from edgekit.apps.vision.analysis.motion import Motion
from edgekit.apps.vision.frames import Frame, from_rgb
from edgekit.apps.vision.poses.keypoints import Pose
from edgekit.apps.vision.privacy.faces import blurred, heads
from edgekit.apps.vision.privacy.masks import touched
from edgekit.apps.vision.privacy.settings import Mask
from edgekit.apps.vision.recording.store import EventStore
from edgekit.apps.vision.rules.places import inside
from edgekit.apps.vision.rules.read import parse_site
from edgekit.apps.vision.rules.settings import Camera, Detect, Rule
from edgekit.apps.vision.sources.address import parse_address
from edgekit.apps.vision.sources.base import PacketTap
from edgekit.apps.vision.sources.open import open_source
from edgekit.apps.vision.tracking.people import People
from edgekit.apps.vision.tracking.tracks import Tracks
from edgekit.apps.vision.watching.camera import CLIPS, SNAPSHOTS, CameraWatch
from edgekit.core.errors import InputError

av = pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
TRIANGLE = ((0.1, 0.1), (0.9, 0.2), (0.4, 0.85))
RIGHT_HALF = {"right": Mask(points=((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)))}
NOISE = np.random.default_rng(0)


def noisy(height: int, width: int, count: int) -> list[np.ndarray]:
    """Bright pictures of which no pixel is dark."""
    return [NOISE.integers(120, 255, (height, width, 3)).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize(("height", "width"), [(96, 128), (90, 122)])
def test_no_masked_pixel_is_in_any_frame_and_everything_else_is_as_it_was(
    tmp_path: Path, make_clip, height: int, width: int
) -> None:  # type: ignore[no-untyped-def]
    clip = parse_address(str(make_clip(tmp_path / "a.mp4", noisy(height, width, 6))))
    plain, masked = open_source(clip), open_source(clip, masks={"m": Mask(points=TRIANGLE)})
    y, x = np.mgrid[0:height, 0:width] + 0.5
    held = inside(np.stack([x.ravel() / width, y.ravel() / height], 1), TRIANGLE).reshape(height, width)
    covered = touched(TRIANGLE, height, width)
    for _ in range(6):
        before, after = plain.read(), masked.read()
        assert before is not None and after is not None
        assert (after.luma()[held] == 16).all() and (before.luma()[held] > 60).all()
        assert np.array_equal(after.luma()[~covered], before.luma()[~covered])
        assert after.rgb()[held].max() < 8
    assert (covered & ~held).sum() < 8 * (height + width), "no more than the edge is covered beside"
    plain.close()
    masked.close()


def test_a_frame_of_odd_size_is_masked_too() -> None:
    from edgekit.apps.vision.privacy.masks import MaskedCapture

    class One:
        def read(self) -> Frame | None:
            return from_rgb(np.full((31, 45, 3), 200, np.uint8), number=0, time_s=0.0)

        def close(self) -> None: ...

    frame = MaskedCapture(One(), RIGHT_HALF).read()
    assert frame is not None
    assert frame.rgb()[:, 23:].max() == 0 and frame.rgb()[:, :20].min() > 190


def test_decoding_goes_on_undisturbed_since_masks_are_painted_into_copies(tmp_path: Path, clip: Path) -> None:
    capture = open_source(parse_address(str(clip)), masks=RIGHT_HALF)
    left = []
    while (frame := capture.read()) is not None:
        left.append(frame.luma()[:, :70].copy())
    plain = open_source(parse_address(str(clip)))
    for kept in left:
        whole = plain.read()
        assert whole is not None and np.array_equal(kept, whole.luma()[:, :70])


def test_a_masked_source_gives_its_packets_to_nobody(clip: Path) -> None:
    class Greedy:
        got = 0

        def begin(self, stream: object) -> None:
            self.got += 1

        def packet(self, packet: object) -> None:
            self.got += 1

    tap: PacketTap = (greedy := Greedy())
    capture = open_source(parse_address(str(clip)), tap=tap, masks=RIGHT_HALF)
    while capture.read() is not None:
        pass
    assert greedy.got == 0


def watched(tmp_path: Path, **private: object) -> Path:
    """A site's folder after its camera has watched the synthetic figure for some seconds."""
    source = parse_address(str(figure_clip(tmp_path)))
    camera = Camera(
        name="yard",
        source=source,
        detect=Detect(fps=30),
        zones={},
        lines={},
        rules=(Rule(name="somebody"),),
        **private,  # type: ignore[arg-type]
    )
    store = EventStore(tmp_path / "events.db")
    watch = CameraWatch(camera, FigureFinder(), None, store, tmp_path, veil=veil(camera))
    watch.start()
    watch._thread.join(60)
    watch.stop()
    assert watch.failed == "" and store.latest()
    store.close()
    return tmp_path


def veil(camera: Camera):  # type: ignore[no-untyped-def]
    from edgekit.apps.vision.privacy.veil import veil_of

    return veil_of(camera)


def figure_clip(folder: Path) -> Path:
    from cameras import walk

    return walk(folder / "source.mp4", 5.0, size=(320, 180))


def kept_pictures(folder: Path) -> list[np.ndarray]:
    """Every frame of every clip, and every snapshot."""
    found = []
    clips, snapshots = list((folder / CLIPS).glob("*.mp4")), list((folder / SNAPSHOTS).glob("*.jpg"))
    assert clips and snapshots
    for path in (*clips, *snapshots):
        with av.open(str(path)) as container:
            found += [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return found


def test_no_masked_pixel_is_ever_written_into_a_clip_or_a_snapshot(tmp_path: Path) -> None:
    pictures = kept_pictures(watched(tmp_path, masks=RIGHT_HALF))
    assert len(pictures) > 10
    for picture in pictures:
        assert picture[:, 168:].max() < 40, "codecs ring for some pixels along the edge"
        assert picture[:, :150].mean() > 60


def test_without_privacy_the_cameras_own_stream_is_kept(tmp_path: Path) -> None:
    folder = watched(tmp_path)
    with av.open(str(folder / "source.mp4")) as source:
        packets = {bytes(packet) for packet in source.demux(video=0) if packet.size}
    (clip, *_) = (folder / CLIPS).glob("*.mp4")
    with av.open(str(clip)) as container:
        assert {bytes(packet) for packet in container.demux(video=0) if packet.size} <= packets


def test_clips_of_a_camera_with_blurred_faces_are_encoded_from_blurred_pictures(tmp_path: Path) -> None:
    folder = watched(tmp_path, faces="blurred")
    with av.open(str(folder / "source.mp4")) as source:
        packets = {bytes(packet) for packet in source.demux(video=0) if packet.size}
    (clip, *_) = (folder / CLIPS).glob("*.mp4")
    with av.open(str(clip)) as container:
        assert not {bytes(packet) for packet in container.demux(video=0) if packet.size} & packets


def look(box: list[float], pose: Pose | None = None) -> tuple[np.ndarray, Look]:
    """A noisy picture with one person in `box`."""
    (image,) = noisy(200, 300, 1)
    one = np.ones(1)
    tracks = Tracks(
        ids=np.array([7]), boxes=np.array([box]), scores=one, class_ids=np.array([0]), since_s=one, seen_s=one, fresh=one > 0
    )
    people = People(tracks=tracks, poses={} if pose is None else {7: pose})
    frame = from_rgb(image, number=0, time_s=0.0)
    return image, Look(frame=frame, motion=Motion(moving=True, share=1.0), people=people, signs=(), events=(), skipped=False)


def posed(x: float, y: float, score: float = 0.9) -> Pose:
    """Somebody whose face is around (x, y)."""
    points = np.full((17, 2), 150.0)
    points[:5] = [[x, y], [x - 4, y - 4], [x + 4, y - 4], [x - 9, y], [x + 9, y]]
    points[5], points[6] = [x + 16, y + 24], [x - 16, y + 24]
    return Pose(points=points, scores=np.full(17, score))


def details(picture: np.ndarray, x: int, y: int, half: int) -> float:
    """How much neighbouring pixels differ."""
    part = picture[y - half : y + half, x - half : x + half].astype(float)
    return float(np.abs(np.diff(part, axis=1)).mean())


def test_a_face_becomes_a_few_fields_where_its_points_are() -> None:
    image, seen = look([100, 20, 160, 180], posed(130, 40))
    found = blurred(image, seen)
    assert details(found, 130, 40, 10) < details(image, 130, 40, 10) / 4
    assert np.array_equal(found[120:], image[120:]) and np.array_equal(found[:, :90], image[:, :90])
    assert not np.shares_memory(found, image)


def test_a_scaled_picture_is_blurred_in_the_same_place() -> None:
    _, seen = look([100, 20, 160, 180], posed(130, 40))
    (large,) = noisy(400, 600, 1)
    found = blurred(large, seen)
    assert details(found, 260, 80, 20) < details(large, 260, 80, 20) / 4


@pytest.mark.parametrize("pose", [None, posed(130, 40, score=0.05)])
def test_without_a_face_in_the_pose_the_upper_part_of_the_box_goes(pose: Pose | None) -> None:
    _, seen = look([100, 20, 160, 180], pose)
    (head,) = heads(seen)
    assert head[1] < 20 and 60 < head[3] < 90 and (head[0], head[2]) == (100, 160)


def test_of_somebody_who_lies_the_whole_box_goes() -> None:
    _, seen = look([40, 120, 200, 170])
    (head,) = heads(seen)
    assert head.tolist() == [40, 120, 200, 170]


def test_a_head_at_the_edge_of_the_picture_is_no_error() -> None:
    image, seen = look([280, -10, 320, 60], posed(298, 2))
    assert blurred(image, seen).shape == image.shape


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("masks: {m: {points: [[0.0, 0.0], [0.5, 0.5]]}}", "three points"),
        ("masks: {m: {points: [[0.0, 0.0], [0.5, 0.5], [1.5, 0.5]]}}", "outside the picture"),
        ("faces: hidden", "hidden"),
    ],
)
def test_a_mistake_in_a_mask_is_named_with_its_line(line: str, said: str) -> None:
    with pytest.raises(InputError, match="line 4") as found:
        parse_site(f"cameras:\n  yard:\n    source: synthetic:64x48\n    {line}\n", "site.yaml")
    assert said in found.value.message
