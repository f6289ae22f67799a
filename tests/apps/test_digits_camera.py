"""Digits before a camera: real drawn digits in real recordings and streams, read as they come, and the page in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from mjpeg import jpeg_of, mjpeg
from waiting import wait_until
from web import browser, chromium, log_in, served, visitor

from edgekit.apps.digits.camera import DigitsCamera
from edgekit.apps.digits.desk import Desk
from edgekit.apps.digits.networks import Network, open_session
from edgekit.apps.vision.sources.address import parse_address
from edgekit.models.digits import NUMBER, number_picture
from edgekit.tasks.pictures.images import decode_image, read_image

if TYPE_CHECKING:
    from playwright.sync_api import Page

av = pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
Image = np.ndarray
SIZE = (480, 720)


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    desk = Desk(Network(open_session(None, "auto")))
    yield desk
    desk.close()


def held(image: Image, number: int) -> Image:
    """A sheet with the picture on it before a camera: grey paper in uneven light, which a hand does not keep quite still."""
    height, width = SIZE
    light = np.linspace(0.75, 0.95, width)[None, :, None] * np.linspace(0.95, 0.85, height)[:, None, None]
    sheet = np.full((height, width, 3), 255.0)
    top, left = 120 + 3 * (number % 4), 30 + 5 * (number % 3)
    sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return (sheet * light).astype(np.uint8)


def recording(path: Path, image: Image, frames: int = 12) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "20"})
        stream.height, stream.width = SIZE
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 10)
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(held(image, number), "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def number() -> Image:
    return read_image(number_picture())


@contextmanager
def watched(source: str, desk: Desk) -> Iterator[DigitsCamera]:
    camera = DigitsCamera(parse_address(source), desk)
    camera.start()
    try:
        yield camera
    finally:
        camera.stop()


def reads(camera: DigitsCamera, number: str) -> Callable[[], bool]:
    return lambda: camera.sheet is not None and camera.sheet.number == number


def test_a_number_held_before_a_camera_is_read_with_calibrated_scores(tmp_path: Path, desk: Desk, number: Image) -> None:
    with watched(str(recording(tmp_path / "sheet.mp4", number)), desk) as camera:
        wait_until(reads(camera, NUMBER), "the number is read")
        assert camera.sheet is not None
        assert all(0 < look.digit.score <= 1 and len(look.digit.top3) == 3 for look in camera.sheet.looks)
        wait_until(lambda: camera.status().link.state == "ended", "the recording ends")
        assert camera.sheet.number == NUMBER, "what was read last stays when the recording has ended"


def test_digits_are_read_from_a_network_camera(desk: Desk, number: Image) -> None:
    with mjpeg([jpeg_of(held(number, place)) for place in range(6)]) as address, watched(address, desk) as camera:
        wait_until(reads(camera, NUMBER), "the number is read")
        assert "hunter2" not in camera.address.shown


def test_a_source_without_digits_is_looked_at_all_the_same(desk: Desk) -> None:
    with watched("synthetic:320x180", desk) as camera:
        wait_until(lambda: camera.sheet is not None, "a picture is read")
        assert camera.status().link.state == "running"


def test_a_camera_that_is_not_there_says_so_and_nothing_is_read(desk: Desk) -> None:
    with watched("http://127.0.0.1:9/stream", desk) as camera:
        wait_until(lambda: camera.status().link.state == "lost", "the camera is lost")
        assert camera.sheet is None
        assert "127.0.0.1:9" in camera.status().link.reason


def test_pictures_are_drawn_only_for_who_watches_and_the_last_one_stays(tmp_path: Path, desk: Desk, number: Image) -> None:
    with watched(str(recording(tmp_path / "sheet.mp4", number, frames=4)), desk) as camera:
        wait_until(lambda: camera.status().link.state == "ended" and camera.sheet is not None, "the recording ends")
        assert camera.pictures.quiet_s is None, "nobody watched"
        picture = asyncio.run(camera.pictures.next_within(30))
        assert picture is not None
        shown = decode_image(picture)
        assert shown.shape == (*SIZE, 3)
        colored = np.ptp(shown.astype(int), axis=2) > 90
        assert colored.sum() > 500, "boxes and labels in colour on a grey sheet"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, number: Image) -> Iterator[Page]:
    pytest.importorskip("nicegui")
    executable, home = chromium(), tmp_path_factory.mktemp("home")
    clip = recording(home / "sheet.mp4", number)
    with (
        served(["-m", "edgekit", "run", "digits", "--source", str(clip), "--port", "0"], cwd=home) as server,
        browser(executable) as chrome,
        visitor(chrome) as watched,
    ):
        log_in(watched.page, server)
        yield watched.page
    assert server.process.returncode == 0


def test_the_page_shows_the_stream_and_the_number_in_it(page: Page) -> None:
    page.wait_for_function("number => document.querySelector('.dg-number')?.textContent === number", arg=NUMBER, timeout=60_000)
    assert page.locator(".dg-card").count() == len(NUMBER)
    page.get_by_text("the recording has ended").wait_for()
    page.wait_for_function("document.querySelector('.ek-live img').naturalWidth === 720", timeout=60_000)


def test_beside_the_camera_one_may_still_draw(page: Page) -> None:
    page.get_by_role("link", name="Draw").click()
    page.get_by_text("Nothing on the sheet yet.").wait_for()


def test_what_looks_like_no_digit_is_marked_as_unsure(tmp_path: Path, desk: Desk) -> None:
    random = np.random.default_rng(5)
    scribble = np.full((240, 320, 3), 255, np.uint8)
    for x, y in random.integers(40, 190, (9, 2)):
        scribble[y : y + 14, x : x + int(random.integers(10, 60))] = 0
    with watched(str(recording(tmp_path / "scribble.mp4", scribble)), desk) as camera:
        wait_until(lambda: camera.sheet is not None and bool(camera.sheet.looks), "something is read")
        assert camera.sheet is not None
        assert any(look.is_unsure for look in camera.sheet.looks)
