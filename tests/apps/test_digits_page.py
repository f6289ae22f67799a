"""The page in a real browser: drawn, dropped, pasted, opened and typed digits are read, in any look, offline."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("nicegui")
pytest.importorskip("onnxruntime")

from web import PHONE, Served, Watched, browser, chromium, log_in, served, visitor

from edgekit.models.digits import NUMBER, number_picture, samples

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SEVEN = (((0.35, 0.2), (0.62, 0.2), (0.46, 0.8)),)
FOUR = (((0.55, 0.15), (0.4, 0.55), (0.68, 0.55)), ((0.6, 0.35), (0.56, 0.85)))
ONE = (((0.2, 0.2), (0.2, 0.8)),)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    executable = chromium()
    assert executable
    with served(["-m", "edgekit", "run", "digits", "--port", "0"], cwd=tmp_path_factory.mktemp("home")) as running:
        yield running
    assert running.process.returncode == 0


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser(chromium()) as running:
        yield running


@pytest.fixture(scope="module")
def opened(server: Served, chrome: Browser) -> Iterator[Watched]:
    """One visitor for all tests of this module; each clears the sheet first."""
    with visitor(chrome) as watched:
        log_in(watched.page, server)
        watched.page.wait_for_selector(".dg-sheet canvas")
        yield watched


@pytest.fixture
def page(opened: Watched) -> Page:
    opened.page.get_by_role("button", name="Clear").click()
    opened.page.get_by_text("Nothing on the sheet yet.").wait_for()
    return opened.page


def draw(page: Page, strokes: tuple[tuple[tuple[float, float], ...], ...]) -> None:
    """With the mouse; places are shares of the sheet."""
    frame = page.locator(".dg-sheet canvas").bounding_box()
    assert frame is not None
    for stroke in strokes:
        places = [(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=6)
        page.mouse.up()


def wait_for_number(page: Page, number: str) -> None:
    page.wait_for_function("number => document.querySelector('.dg-number')?.textContent === number", arg=number)


def give(page: Page, event: str, path: Path, name: str) -> None:
    """Drop or paste a file, as the browser tells a page of it."""
    data = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(
        """([event, data, name]) => {
            const carried = new DataTransfer();
            carried.items.add(new File([Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0))], name, { type: "image/png" }));
            const told = event === "drop"
                ? new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: carried, bubbles: true, cancelable: true });
            document.querySelector(".dg-sheet").dispatchEvent(told);
        }""",
        [event, data, name],
    )


def test_a_drawn_digit_is_read_while_it_is_drawn(page: Page) -> None:
    draw(page, SEVEN)
    wait_for_number(page, "7")
    assert page.get_by_text("sure", exact=True).is_visible()
    assert page.locator(".dg-card").count() == 1
    assert page.locator(".dg-bar").count() == 3
    assert page.locator(".dg-box").inner_text() == "7"


def test_several_digits_are_read_in_order_and_undone_one_stroke_at_a_time(page: Page) -> None:
    draw(page, (*FOUR, *ONE))
    wait_for_number(page, "14")
    page.get_by_role("button", name="Undo").click()
    wait_for_number(page, "4")


@pytest.mark.parametrize("button", ["Undo", "Clear"])
def test_ink_is_taken_back_in_the_browser_at_once(page: Page, button: str) -> None:
    """A server's answer would come after the next stroke has begun, and take that away too."""
    draw(page, ONE)
    wait_for_number(page, "1")
    left = page.evaluate(
        """button => {
            [...document.querySelectorAll(".dg-tool")].find((tool) => tool.textContent.includes(button)).click();
            const canvas = document.querySelector(".dg-sheet canvas");
            return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value);
        }""",
        button,
    )
    assert not left
    page.get_by_text("Nothing on the sheet yet.").wait_for()


def test_a_digit_is_drawn_with_the_keyboard_alone(page: Page) -> None:
    page.locator(".dg-sheet canvas").focus()
    for _ in range(10):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    for _ in range(20):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    wait_for_number(page, "1")
    page.keyboard.press("z")
    page.get_by_text("Nothing on the sheet yet.").wait_for()


def test_everything_is_reached_with_the_tab_key(page: Page) -> None:
    page.locator(".ek-skip").focus()
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText"))
    text = " ".join(str(each) for each in reached)
    for name in ("Menu", "Sheet to draw on", "Undo", "Clear", "Open a picture", "A page with a number"):
        assert name in text


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted_and_all_its_digits_are_read(page: Page, event: str) -> None:
    give(page, event, number_picture(), "number.png")
    wait_for_number(page, NUMBER)
    assert page.locator(".dg-box").count() == len(NUMBER)
    assert page.locator(".dg-picture").is_visible()


def test_a_picture_is_opened_from_a_file(page: Page) -> None:
    page.locator(".dg-upload input[type=file]").set_input_files(samples()[10].path)
    wait_for_number(page, str(samples()[10].digit))


def test_drawing_takes_the_place_of_a_picture(page: Page) -> None:
    page.get_by_role("button", name="A page with a number").click()
    wait_for_number(page, NUMBER)
    draw(page, SEVEN)
    wait_for_number(page, "7")
    assert page.locator(".dg-picture").count() == 0


def test_what_is_no_picture_is_said_and_the_page_goes_on(opened: Watched, page: Page, tmp_path: Path) -> None:
    file = tmp_path / "letter.png"
    file.write_bytes(b"dear sir")
    give(page, "drop", file, "letter.png")
    page.get_by_text("'letter.png' is not a picture of a known format").wait_for()
    draw(page, SEVEN)
    wait_for_number(page, "7")


def test_the_artifacts_stand_side_by_side(page: Page) -> None:
    draw(page, SEVEN)
    wait_for_number(page, "7")
    rows = page.locator(".dg-table tbody tr")
    rows.nth(1).locator(".dg-reads").wait_for()
    for row, (precision, runtime) in enumerate((("fp32", "onnxruntime"), ("int8", "litert"))):
        text = rows.nth(row).inner_text()
        assert precision in text
        assert runtime in text
        assert "ms" in text
    assert page.locator(".ek-chart canvas").count() == 1


def test_the_ink_that_decided_is_shown_in_color(page: Page) -> None:
    draw(page, SEVEN)
    wait_for_number(page, "7")
    colored = """() => { const image = document.querySelector('.dg-seen'); const canvas = new OffscreenCanvas(28, 28);
        const context = canvas.getContext('2d'); context.drawImage(image, 0, 0, 28, 28);
        const data = context.getImageData(0, 0, 28, 28).data;
        return [...data].some((value, at) => at % 4 === 0 && value !== data[at + 2]); }"""
    assert page.evaluate(colored) is False
    page.get_by_text("Show which ink decided").click()
    page.wait_for_function(colored)
    page.get_by_text("Show which ink decided").click()


def test_the_look_is_chosen_and_kept(opened: Watched, page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("button", name="Dark").click()
    page.wait_for_function(f"light => {background} !== light", arg=light)
    dark = page.evaluate(background)
    page.wait_for_function("document.cookie.includes('theme=dark')")
    page.reload()
    page.wait_for_function(f"dark => {background} === dark", arg=dark)
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("button", name="Auto").click()
    page.wait_for_function(f"light => {background} === light", arg=light)
    page.keyboard.press("Escape")


def test_nothing_was_asked_of_another_host_and_no_error_was_shown(server: Served, opened: Watched) -> None:
    assert opened.errors == []
    assert opened.hosts <= {server.url.partition("//")[2], ""}


def test_a_phone_in_the_dark_shows_it_all_without_scrolling_sideways(server: Served, chrome: Browser) -> None:
    with visitor(chrome, size=PHONE, dark=True, touch=True) as watched:
        log_in(watched.page, server)
        watched.page.get_by_role("button", name="A page with a number").click()
        wait_for_number(watched.page, NUMBER)
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        assert watched.page.evaluate("document.body.classList.contains('body--dark')")
        assert watched.errors == []


def test_programs_read_pictures_too(server: Served) -> None:
    client = server.login()
    read = client.post("/api/digits/read", content=number_picture().read_bytes()).json()
    assert read["number"] == NUMBER
    assert {"digit", "score", "top3", "box", "unsure", "opinions"} <= read["digits"][0].keys()
    assert len(client.get("/api/digits").json()["networks"]) == 2


def test_hostile_pictures_are_refused_with_a_sentence(server: Served) -> None:
    from PIL import Image

    bomb = io.BytesIO()
    Image.new("1", (40_000, 40_000)).save(bomb, format="PNG")
    client = server.login()
    for body, said in ((b"", "is empty"), (b"\x89PNG\r\n\x1a\n" + b"x" * 99, "picture"), (bomb.getvalue(), "is too large")):
        answer = client.post("/api/digits/read", content=body)
        assert answer.status_code == 422
        assert said in answer.json()["error"]
    assert client.post("/api/digits/read", content=b"x" * 25_000_000).status_code == 413
    assert client.get("/api/digits").status_code == 200
