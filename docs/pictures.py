"""The picture of the digit page: `python docs/pictures.py` serves it, draws in it with Chromium, and writes docs/digits.png."""

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

from web import Served, browser, chromium, log_in, served, visitor  # noqa: E402

SIZE, COLORS = (1080, 700), 128
STROKES = (
    ((0.10, 0.22), (0.30, 0.22), (0.17, 0.78)),
    ((0.47, 0.16), (0.38, 0.52), (0.60, 0.52)),
    ((0.54, 0.36), (0.50, 0.82)),
    ((0.70, 0.25), (0.80, 0.19), (0.87, 0.28), (0.77, 0.46), (0.89, 0.58), (0.83, 0.75), (0.69, 0.72)),
)


def main() -> None:
    """Write the picture."""
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
