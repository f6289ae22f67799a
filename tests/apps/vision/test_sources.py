"""Frames out of recordings, folders, streams and nothing."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mjpeg import jpeg_of
from mjpeg import mjpeg as camera

from edgekit.apps.vision.frames import Frame, from_rgb
from edgekit.apps.vision.sources import csi, gstreamer
from edgekit.apps.vision.sources.address import parse_address
from edgekit.apps.vision.sources.base import SourceLost
from edgekit.apps.vision.sources.container import arguments
from edgekit.apps.vision.sources.feed import Feed
from edgekit.apps.vision.sources.open import open_source
from edgekit.apps.vision.sources.states import Patience
from edgekit.core.errors import DeviceError, InputError, MissingDependency, Unsupported
from edgekit.tasks.pictures.images import write_png


def test_a_recording_gives_every_frame_with_its_own_time(clip: Path) -> None:
    capture = open_source(parse_address(str(clip)))
    frames = []
    while (frame := capture.read()) is not None:
        frames.append(frame)
    capture.close()
    assert [frame.number for frame in frames] == list(range(20))
    assert [round(frame.time_s, 3) for frame in frames] == [round(number / 10, 3) for number in range(20)]
    assert frames[0].luma().shape == (120, 160)
    assert frames[0].rgb(80, 60).shape == (60, 80, 3)


def test_a_folder_of_pictures_comes_in_the_order_of_names(tmp_path: Path) -> None:
    for name, level in (("b", 200), ("a", 100)):
        write_png(tmp_path / f"{name}.png", np.full((32, 48, 3), level, np.uint8))
    capture = open_source(parse_address(str(tmp_path)))
    first, second = capture.read(), capture.read()
    assert first is not None and second is not None and capture.read() is None
    assert int(first.rgb().mean()) == 100
    assert second.time_s == pytest.approx(0.1)


def test_the_synthetic_source_is_the_same_every_time() -> None:
    one, other = (open_source(parse_address("synthetic:64x48")).read() for _ in range(2))
    assert one is not None and other is not None
    assert np.array_equal(one.rgb(), other.rgb())


@pytest.mark.parametrize(
    "content", [b"", b"not a video at all" * 50, b"ffconcat version 1.0\nfile /etc/passwd\n", b"#EXTM3U\n/etc/passwd\n"]
)
def test_what_is_no_video_or_names_other_files_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.mp4"
    file.write_bytes(content)
    with pytest.raises(InputError):
        open_source(parse_address(str(file)))


def test_corrupt_packets_are_passed_over(tmp_path: Path, clip: Path) -> None:
    data = bytearray(clip.read_bytes())
    middle = data.index(b"mdat") + 400
    data[middle : middle + 200] = bytes(200)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(bytes(data))
    capture = open_source(parse_address(str(broken)))
    frames = 0
    while capture.read() is not None:
        frames += 1
    assert 1 <= frames <= 20


@pytest.mark.parametrize("size", [(8, 8), (33, 17), (160, 120)])
def test_a_crop_shows_what_the_frame_shows_there_and_black_beyond(size: tuple[int, int]) -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    image[:, 80:] = 255
    frame = from_rgb(image, number=0, time_s=0.0)
    right = frame.square(np.array([100.0, 20.0, 140.0, 60.0]), 16)
    assert right.shape == (16, 16, 3) and right.mean() > 240
    corner = frame.square(np.array([140.0, 100.0, 140.0 + size[0] * 4, 100.0 + size[0] * 4]), 32)
    assert corner[-1, -1].max() < 30


@pytest.fixture
def mjpeg() -> Iterator[str]:
    with camera([jpeg_of(np.full((48, 64, 3), number * 20, np.uint8)) for number in range(12)]) as address:
        yield address


def test_an_http_stream_runs_is_lost_and_is_opened_again(mjpeg: str) -> None:
    states: list[str] = []
    again = threading.Event()

    def changed(link: object) -> None:
        states.append(link.state)  # type: ignore[attr-defined]
        if states.count("running") >= 2:
            again.set()

    feed = Feed(parse_address(mjpeg), patience=Patience(first_delay_s=0.05, jitter=0), on_change=changed)
    feed.start()
    assert again.wait(20), states
    feed.stop()
    assert states[:4] == ["running", "lost", "connecting", "running"]


def test_a_camera_that_is_unplugged_is_lost_and_is_found_again_when_it_is_back() -> None:
    class Plugged:
        """Two frames, then the plug is pulled."""

        def __init__(self) -> None:
            self._left = 2

        def read(self) -> Frame:
            self._left -= 1
            if self._left < 0:
                raise SourceLost("'/dev/video0' broke off: No such device")
            return from_rgb(np.zeros((8, 8, 3), np.uint8), number=0, time_s=0.0)

        def close(self) -> None:
            pass

    states, tries, again = list[str](), list[int](), threading.Event()

    def opener(address: object, tap: object) -> Plugged:
        tries.append(len(tries))
        if len(tries) in (2, 3):
            raise DeviceError("no camera at '/dev/video0': No such file or directory", "ls /dev/video*")
        return Plugged()

    def changed(link: object) -> None:
        states.append(link.state)  # type: ignore[attr-defined]
        if states.count("running") == 2:
            again.set()

    feed = Feed(parse_address("/dev/video0"), patience=Patience(first_delay_s=0.02, jitter=0), opener=opener, on_change=changed)
    feed.start()
    assert again.wait(20), states
    feed.stop()
    assert states[:2] == ["running", "lost"] and len(tries) >= 4


def test_time_goes_on_over_connections() -> None:
    now, taken = [100.0], []

    class Short:
        """A capture of two frames, whose time begins at 0, as a camera's does."""

        def __init__(self) -> None:
            self._left = [0.0, 0.5]

        def read(self) -> Frame:
            if not self._left:
                raise SourceLost("closed by the other side")
            time_s = self._left.pop(0)
            return from_rgb(np.zeros((8, 8, 3), np.uint8), number=0, time_s=time_s)

        def close(self) -> None:
            now[0] += 7.0

    address, rounds = parse_address("rtsp://127.0.0.1:9/x"), threading.Semaphore(0)
    feed = Feed(
        address,
        patience=Patience(first_delay_s=0.0, jitter=0),
        opener=lambda address, tap: Short(),
        clock=lambda: now[0],
        on_change=lambda link: rounds.release() if link.state == "lost" else None,
    )
    feed.frames.put = lambda frame: taken.append(frame.time_s)  # type: ignore[method-assign]
    feed.start()
    for _ in range(2):
        assert rounds.acquire(timeout=20)
    feed.stop()
    assert taken[:4] == [0.0, 0.5, 7.0, 7.5]


def test_a_server_that_is_gone_is_lost_and_the_message_holds_no_password(capfd: pytest.CaptureFixture[str]) -> None:
    address = parse_address("rtsp://admin:hunter2@127.0.0.1:9/live")
    with pytest.raises(SourceLost) as lost:
        open_source(address)
    said = "".join(capfd.readouterr())
    assert "hunter2" not in lost.value.message + lost.value.hint + said
    assert "127.0.0.1:9" in lost.value.message
    assert lost.value.__cause__ is None


def test_a_recording_ends_its_feed(clip: Path) -> None:
    ended = threading.Event()
    feed = Feed(parse_address(str(clip)), on_change=lambda link: ended.set() if link.state == "ended" else None)
    feed.start()
    assert ended.wait(20)
    assert feed.look().captured == 20
    feed.stop()


def test_files_and_streams_open_with_only_what_they_need() -> None:
    stream = arguments(parse_address("rtsp://host/x"))["options"]
    assert stream["rtsp_transport"] == "tcp"
    assert "file" not in stream["protocol_whitelist"].split(",")
    assert not {"concat", "hls", "dash", "lavfi"} & set(stream["format_whitelist"].split(","))


def test_devices_that_are_not_here_say_what_is_missing() -> None:
    with pytest.raises(DeviceError, match="/dev/video99"):
        open_source(parse_address("/dev/video99"))


def test_the_ribbon_camera_reads_its_small_stream() -> None:
    class Camera:
        def __init__(self, index: int) -> None:
            self.asked: list[object] = []

        def create_video_configuration(self, lores: object) -> object:
            return lores

        def configure(self, wanted: object) -> None:
            self.asked.append(wanted)

        def start(self) -> None: ...
        def stop(self) -> None: ...
        def close(self) -> None: ...
        def capture_array(self, name: str) -> np.ndarray:
            return np.full((90, 64), 128, np.uint8)  # 60 rows of luma, 30 of chroma

    module = type("picamera2", (), {"Picamera2": Camera})
    capture = csi.CsiCapture(0, (64, 60), module=module, clock=lambda: 1.0)
    frame = capture.read()
    assert frame is not None and (frame.width, frame.height) == (64, 60)


def test_without_picamera2_the_message_names_the_package() -> None:
    try:
        import picamera2  # noqa: F401  # pyright: ignore
    except ImportError:
        with pytest.raises(MissingDependency, match="picamera2") as missing:
            open_source(parse_address("csi:0"))
        assert "apt install" in missing.value.hint


@pytest.mark.parametrize("source", ["argus:0", "nvdec:rtsp://me:hunter2@127.0.0.1:9/x"])
def test_without_gstreamer_a_jetsons_sources_name_the_package(source: str) -> None:
    if find_spec("gi") is not None:
        pytest.skip("GStreamer's Python binding is installed here")
    with pytest.raises(MissingDependency, match="GStreamer's Python binding") as missing:
        open_source(parse_address(source))
    assert "apt install" in missing.value.hint and "hunter2" not in missing.value.message


def test_jetson_pipelines() -> None:
    assert "nvarguscamerasrc sensor-id=1" in gstreamer.csi_pipeline(1, 640, 360)
    assert "rtph265depay" in gstreamer.rtsp_pipeline("h265", 640, 360)
    with pytest.raises(Unsupported, match="vp8"):
        gstreamer.rtsp_pipeline("vp8", 640, 360)


class Recorded:
    """Stands in for GStreamer, which few machines have: a pipeline that gives recorded pictures as its appsink would, then none."""

    SECOND = 10**9
    State = SimpleNamespace(PLAYING="playing", NULL="null")

    def __init__(self, samples: list[bytes]) -> None:
        self.samples, self.text, self.states, self.properties = samples, "", list[str](), dict[str, str]()

    def init(self, arguments: None) -> None: ...

    def parse_launch(self, text: str) -> Recorded:
        if "nvarguscamerasrc" in text:
            raise RuntimeError('no element "nvarguscamerasrc"')
        self.text = text
        return self

    def get_by_name(self, name: str) -> Recorded:
        assert f"name={name}" in self.text
        return self

    def set_property(self, name: str, value: str) -> None:
        self.properties[name] = value

    def set_state(self, state: str) -> None:
        self.states.append(state)

    def emit(self, signal: str, timeout_ns: int) -> SimpleNamespace | None:
        assert signal == "try-pull-sample" and timeout_ns == 5 * self.SECOND
        if not self.samples:
            return None
        data = self.samples.pop(0)
        buffer = SimpleNamespace(get_size=lambda: len(data), extract_dup=lambda start, size: data[start : start + size])
        return SimpleNamespace(get_buffer=lambda: buffer)


@pytest.fixture
def jetson(clip: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """The recording's pictures, 90 wide, whose rows of luma and of chroma GStreamer pads to multiples of four."""
    capture, samples = open_source(parse_address(str(clip))), list[bytes]()
    while (frame := capture.read()) is not None:
        planes = frame.planes.reformat(90, 60, format="yuv420p").to_ndarray()
        luma, chroma = np.pad(planes[:60], ((0, 0), (0, 2))), planes[60:].reshape(2, 30, 45)
        samples.append(luma.tobytes() + np.pad(chroma, ((0, 0), (0, 0), (0, 3))).tobytes())
    capture.close()
    made = Recorded(samples)
    for name, module in (
        ("gi", SimpleNamespace(require_version=lambda name, version: None, repository=SimpleNamespace(Gst=made))),
        ("gi.repository", SimpleNamespace(Gst=made)),
        ("gi.repository.Gst", made),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    return made


def test_a_jetsons_decoder_gives_frames_until_it_falls_silent_and_its_address_stands_in_no_text(
    jetson: Recorded, clip: Path
) -> None:
    address, ticks = "rtsp://me:hunter2@127.0.0.1:9/x", iter(range(100))
    capture = gstreamer.GStreamerCapture(
        gstreamer.rtsp_pipeline("h264", 90, 60), (90, 60), address=address, clock=lambda: float(next(ticks))
    )
    frames = [capture.read() for _ in range(20)]
    with pytest.raises(SourceLost, match="no frame for 5 s"):
        capture.read()
    capture.close()
    assert jetson.properties == {"location": address} and "hunter2" not in jetson.text
    assert jetson.states == ["playing", "null"]
    assert [(frame.number, frame.time_s) for frame in frames if frame is not None] == [(n, n + 1.0) for n in range(20)]
    original = open_source(parse_address(str(clip)))
    for frame in frames:
        expected = original.read()
        assert frame is not None and expected is not None
        off = np.abs(frame.rgb().astype(int) - expected.rgb(90, 60).astype(int))
        assert off.mean() < 6, "the picture is the recorded one, no row slid sideways"
    original.close()


def test_a_pipeline_that_the_machine_cannot_build_says_what_to_look_at(jetson: Recorded) -> None:
    with pytest.raises(DeviceError, match="nvarguscamerasrc") as broken:
        open_source(parse_address("argus:0"))
    assert "gst-inspect-1.0" in broken.value.hint


def test_padded_rows_of_gstreamer_are_cut() -> None:
    width, height = 6, 4
    luma = np.arange(8 * 4, dtype=np.uint8).reshape(4, 8)
    chroma = np.full((2, 2, 4), 9, np.uint8)
    planes = gstreamer.i420(luma.tobytes() + chroma.tobytes(), width, height)
    assert planes.shape == (6, 6)
    assert np.array_equal(planes[:4], luma[:, :6])
