"""The pictures of pages: `python docs/pictures.py` serves them, uses them with Chromium, and writes docs/digits.png and docs/vision-*.jpg.

The cameras' pages watch the synthetic source with the detector of the tests, which finds its figure by colour."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests" / "builders"))

from cameras import SITE_APP  # noqa: E402
from documents import write_documents  # noqa: E402
from web import Served, browser, chromium, log_in, served, visitor  # noqa: E402

SIZE, COLORS = (1080, 700), 128
STROKES = (
    ((0.10, 0.22), (0.30, 0.22), (0.17, 0.78)),
    ((0.47, 0.16), (0.38, 0.52), (0.60, 0.52)),
    ((0.54, 0.36), (0.50, 0.82)),
    ((0.70, 0.25), (0.80, 0.19), (0.87, 0.28), (0.77, 0.46), (0.89, 0.58), (0.83, 0.75), (0.69, 0.72)),
)

SITE = """\
cameras:
  yard:
    source: synthetic:640x360
    zones:
      door: {points: [[0.38, 0.62], [0.60, 0.62], [0.66, 0.95], [0.32, 0.95]]}
    lines:
      middle: {start: [0.5, 0.35], end: [0.5, 1.0]}
    rules:
      - {name: at the door, zone: door}
      - {name: crossing, line: middle, severity: low}
      - {name: somebody, dwell_s: 2, severity: high}
  gate: {source: 'synthetic:640x360', lines: {way: {start: [0.3, 0.85], end: [0.7, 0.85]}}}
  lane: {source: 'synthetic:640x360'}
  shed: {source: 'rtsp://user:secret@127.0.0.1:9/stream2'}
"""


def main() -> None:
    """Write the pictures."""
    _digits()
    _cameras()
    _assistant()


def _cameras() -> None:
    """Four cameras, one of which is not there, and the places of one."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "app.py").write_text(SITE_APP)
        (Path(home) / "site.yaml").write_text(SITE)
        with (
            served([str(Path(home) / "app.py")], cwd=Path(home)) as server,
            browser(chromium()) as opened,
            visitor(opened) as watched,
        ):
            page = watched.page
            log_in(page, server)
            page.locator(".vi-alert").nth(6).wait_for()
            _save(page, "vision-live.jpg")
            page.goto(f"{server.url}/zones?camera=yard")
            page.get_by_label("Name of the zone").click()
            page.locator("[data-corner]").first.wait_for()
            page.wait_for_selector(".ek-live-live")
            _save(page, "vision-zones.jpg")


def _assistant() -> None:
    """An answer that is quoted from a document, and the passage it is from."""
    with tempfile.TemporaryDirectory() as home:
        documents = write_documents(Path(home) / "documents")
        app = ["-m", "edgekit", "run", "assistant", "--port", "0", "--data", f"{home}/data", "--documents", str(documents)]
        with (
            served(app, cwd=Path(home)) as server,
            browser(chromium()) as opened,
            visitor(opened) as watched,
        ):
            page = watched.page
            log_in(page, server)
            page.get_by_text("4 documents").wait_for()
            question = page.get_by_placeholder("Ask your documents")
            question.fill("How many litres of water does the pump move?")
            question.press("Enter")
            page.get_by_text("pump.md, Pump").click()
            page.get_by_text("## Service").wait_for()
            page.wait_for_timeout(1000)
            shot = page.screenshot()
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLORS).save(DOCS / "assistant.png", optimize=True)


def _save(page: Page, name: str) -> None:
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(DOCS / name, quality=82, optimize=True)


def _digits() -> None:
    with (
        tempfile.TemporaryDirectory() as home,
        served(["-m", "edgekit", "run", "digits", "--port", "0"], cwd=Path(home)) as server,
        browser(chromium()) as opened,
        visitor(opened, size=SIZE) as watched,
    ):
        shot = _drawn(watched.page, server)
    picture = Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLORS)
    picture.save(DOCS / "digits.png", optimize=True)


def _drawn(page: Page, server: Served) -> bytes:
    """Three digits and which ink decided, as a PNG."""
    log_in(page, server)
    frame = page.locator(".dg-sheet canvas").bounding_box()
    assert frame is not None
    for stroke in STROKES:
        places = [(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=8)
        page.mouse.up()
    page.wait_for_function("document.querySelector('.dg-number')?.textContent === '743'")
    page.get_by_text("Show which ink decided").click()
    page.wait_for_timeout(3000)
    page.mouse.move(2, 2)
    return page.screenshot()


if __name__ == "__main__":
    main()
