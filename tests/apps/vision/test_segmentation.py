"""Shapes of what a segmenting detector found: over the live picture only, only while somebody looks, never behind a privacy mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("scipy", reason="scipy (extra vision) is not installed")

from detectors import segmenting_artifact
from web import browser, chromium, log_in, served, visitor

from edgekit.apps.drawing import color_of
from edgekit.apps.vision.analysis.analyst import Analyst, Look
from edgekit.apps.vision.frames import from_rgb
from edgekit.apps.vision.networks.artifacts import opened
from edgekit.apps.vision.networks.detector import Detector
from edgekit.apps.vision.privacy.settings import Mask
from edgekit.apps.vision.rules.read import parse_site, read_site
from edgekit.apps.vision.rules.rewrite import rewritten
from edgekit.apps.vision.rules.settings import Camera, Detect
from edgekit.apps.vision.showing.segmentation import COVER, legend, tinted
from edgekit.apps.vision.sources.address import parse_address
from edgekit.core.errors import InputError

if TYPE_CHECKING:
    from playwright.sync_api import Page

CAMERA = Camera(
    name="yard", source=parse_address("synthetic:192x128"), detect=Detect(motion_gate=False), zones={}, lines={}, rules=()
)
GREY = np.full((256, 384, 3), 100, np.uint8)
"""A picture twice as large as the camera's, which is twice as large as the network's input."""


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detector]:
    with opened(segmenting_artifact(tmp_path_factory.mktemp("model") / "segmenting")) as session:
        yield Detector(session)


@pytest.fixture
def look(detector: Detector) -> Look:
    """Somebody at x 32 to 96 of 192, of whom the left 16 (of 32) columns of the input are seen, and a thing at x 112 to 176."""
    frame = from_rgb(np.full((128, 192, 3), 100, np.uint8), number=0, time_s=0.0)
    return Analyst(CAMERA, detector).look(frame)


def tints(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels of a grey picture have a person's colour, and which a thing's."""
    person, thing = (100 * (1 - COVER) + COVER * np.array(color_of(kind)) for kind in (0, 1))
    return (np.abs(picture - person) < 1.01).all(axis=2), (np.abs(picture - thing) < 1.01).all(axis=2)


def test_shapes_lie_where_they_are_in_a_picture_of_any_size(detector: Detector, look: Look) -> None:
    assert detector.segments
    person, thing = tints(tinted(GREY, look, CAMERA))
    rows, columns = np.nonzero(person)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (64, 191, 32, 95)
    rows, columns = np.nonzero(thing)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (64, 191, 224, 351)
    assert person.sum() + thing.sum() == (tinted(GREY, look, CAMERA) != GREY).any(axis=2).sum()
    small = tinted(GREY[::4, ::4], look, CAMERA)
    assert abs(int(tints(small)[1].sum()) - thing.sum() / 16) < 80


def test_the_legend_names_what_is_shown_in_its_colours(detector: Detector, look: Look) -> None:
    assert [(shade.label, shade.color) for shade in legend(look, CAMERA, detector.labels)] == [
        ("person", color_of(0)),
        ("thing", color_of(1)),
    ]
    surer = replace(CAMERA, detect=Detect(min_score=0.85))
    assert [shade.label for shade in legend(look, surer, detector.labels)] == ["person"]
    assert not tints(tinted(GREY, look, surer))[1].any(), "what is not sure enough for a track has no shape either"
    assert legend(None, CAMERA, detector.labels) == ()


def test_shapes_that_are_hidden_are_neither_drawn_nor_told(detector: Detector, look: Look) -> None:
    hidden = replace(CAMERA, segmentation="hidden")
    assert tinted(GREY, look, hidden) is GREY
    assert legend(look, hidden, detector.labels) == ()


def test_nothing_is_drawn_where_a_privacy_mask_lies(look: Look) -> None:
    """The network may believe that somebody goes on behind it; the picture says nothing of it."""
    masked = replace(CAMERA, masks={"window": Mask(points=((0.0, 0.0), (0.2, 0.0), (0.2, 1.0), (0.0, 1.0)))})
    person, _ = tints(tinted(GREY, look, masked))
    assert person.any() and np.nonzero(person)[1].min() >= 0.2 * 384


def test_the_file_says_whether_shapes_are_shown() -> None:
    text = "cameras:\n  yard: {source: synthetic:64x36, segmentation: hidden}  # by the door\n"
    (camera,) = parse_site(text, "site.yaml").cameras
    assert camera.segmentation == "hidden"
    assert rewritten(text, "site.yaml", replace(camera, segmentation="shown")) == text.replace("hidden", "shown")
    with pytest.raises(InputError, match="line 2, column 35"):
        parse_site(text.replace("hidden", "somewhat"), "site.yaml")


MIDDLE = """() => { const image = document.querySelector('.ek-live img'), canvas = new OffscreenCanvas(96, 64);
    const context = canvas.getContext('2d'); context.drawImage(image, 0, 0, 96, 64);
    return [...context.getImageData(16, 40, 1, 1).data].slice(0, 3); }"""


def test_shapes_are_shown_with_a_legend_and_switched_off_on_the_page(tmp_path: Path) -> None:
    executable, artifact = chromium(), segmenting_artifact(tmp_path / "segmenting")
    command = ["-m", "edgekit", "run", "camera", "--source", "synthetic:192x128", "--artifact", str(artifact), "--port", "0"]

    def colored(page: Page, shown: bool) -> None:
        """Whether the person's place has the red of its colour, over a grey yard where a blue figure walks."""
        page.wait_for_function(
            f"shown => {{ const [red, green, blue] = ({MIDDLE})(); return (red - green > 30) === shown; }}", arg=shown
        )

    with served(command, cwd=tmp_path) as server, browser(executable) as chrome, visitor(chrome) as watched:
        page = watched.page
        log_in(page, server)
        page.get_by_role("list", name="Colours of the shapes").get_by_text("person").wait_for()
        assert page.get_by_role("listitem").all_inner_texts() == ["person"], "the rules are about nothing else"
        colored(page, True)
        page.get_by_role("switch", name="Show shapes, live only").click()
        page.get_by_text("In force, and written down").first.wait_for()
        colored(page, False)
        page.get_by_role("list", name="Colours of the shapes").get_by_text("person").wait_for(state="detached")
        assert watched.errors == []
    assert read_site(tmp_path / "edgekit-camera" / "site.yaml").cameras[0].segmentation == "hidden"
