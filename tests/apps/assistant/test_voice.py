"""Speaking to the assistant: its interface, and the page in a real browser whose microphone hears a recording."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("nicegui")

from speech import spoken, wav
from web import Served, Watched, browser, chromium, log_in, served, visitor

from edgekit.apps.assistant.voice import spoken as read_aloud

if TYPE_CHECKING:
    from playwright.sync_api import Page

NUMBERS = "one two three four five"
PLAYING = """
window.played = 0; window.silenced = 0;
const start = AudioBufferSourceNode.prototype.start, close = AudioContext.prototype.close;
AudioBufferSourceNode.prototype.start = function (...all) { if (this.context instanceof AudioContext) window.played += 1; return start.apply(this, all); };
AudioContext.prototype.close = function () { if (window.played) window.silenced += 1; return close.apply(this); };
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return spoken(NUMBERS, tmp_path_factory.mktemp("spoken"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A model that repeats what it is told, and what hears and speaks here."""
    home = tmp_path_factory.mktemp("voice")
    argv = ["-m", "edgekit", "run", "assistant", "--port", "0", "--data", str(home / "data"), "--runtime", "parrot"]
    with served(argv, cwd=home) as running:
        yield running


@pytest.fixture(scope="module")
def spoken_to(server: Served, recording: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A page whose microphone hears the recording over and over."""
    file = tmp_path_factory.mktemp("microphone") / "numbers.wav"
    file.write_bytes(recording)
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={file}",
    )
    with browser(chromium(), *flags, "--autoplay-policy=no-user-gesture-required") as chrome, visitor(chrome) as watched:
        watched.page.add_init_script(PLAYING)
        log_in(watched.page, server)
        yield watched


@pytest.fixture
def page(spoken_to: Watched, server: Served) -> Page:
    spoken_to.page.goto(server.url)
    spoken_to.page.get_by_role("button", name="Speak").wait_for()
    return spoken_to.page


def test_a_recording_becomes_text(server: Served, recording: bytes) -> None:
    pytest.importorskip("pocketsphinx")
    heard = server.login().post("/api/voice/transcription", content=recording).json()
    assert heard["text"] == NUMBERS
    assert 1 < heard["seconds"] < 10


def test_what_hears_and_what_speaks_is_told(server: Served) -> None:
    pytest.importorskip("pocketsphinx")
    told = server.login().get("/api/voice").json()
    assert told["hears"]["engine"] == "pocketsphinx" and "https://" in told["hears"]["note"]
    assert told["speaks"]["ok"] == (shutil.which("espeak-ng") is not None)


def test_who_is_not_logged_in_is_not_heard(server: Served, recording: bytes) -> None:
    assert server.client().post("/api/voice/transcription", content=recording).status_code == 401
    assert server.client().post("/api/voice/speech", json={"text": "hello"}).status_code == 401


def test_hostile_audio_is_refused_and_the_server_goes_on(server: Served) -> None:
    client = server.login()
    for body, status in ((b"<html>", 422), (b"", 422), (wav(bytes(9000), rate=8000), 422), (bytes(3_000_000), 413)):
        assert client.post("/api/voice/transcription", content=body).status_code == status
    assert client.get("/api/voice").status_code == 200


def test_an_answer_is_spoken_as_wav(server: Served) -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("no espeak-ng here")
    answer = server.login().post("/api/voice/speech", json={"text": "Good morning. [1]"})
    assert answer.headers["content-type"] == "audio/wav" and answer.content[:4] == b"RIFF"
    assert server.login().post("/api/voice/speech", json={"text": "``` only code ```"}).status_code == 422


def test_sources_marks_and_code_are_not_read_aloud() -> None:
    assert read_aloud("**Forty** litres [1][2].\n```py\nx = 1\n```\n# Next") == "Forty litres. Next"
    assert len(read_aloud("word " * 3000)) <= 5000


def test_what_was_said_while_the_button_was_held_can_be_mended_before_it_is_sent(page: Page) -> None:
    pytest.importorskip("pocketsphinx")
    button, box = page.get_by_role("button", name="Speak"), page.locator("textarea")
    button.hover()
    page.mouse.down()
    page.get_by_text("Listening").wait_for()
    page.wait_for_timeout(3500)  # a microphone brings its sound no sooner
    page.mouse.up()
    page.wait_for_function("document.querySelector('textarea').value.length > 0")
    assert len(set(box.input_value().split()) & set(NUMBERS.split())) >= 2
    assert not page.locator(".as-asked").count()
    box.fill("one two three, mended")
    page.keyboard.press("Enter")
    page.get_by_role("article", name="Question").get_by_text("mended").wait_for()


def test_the_keyboard_alone_begins_ends_and_cancels_a_recording(page: Page) -> None:
    pytest.importorskip("pocketsphinx")
    page.get_by_role("button", name="Speak").focus()
    page.keyboard.press("Space")  # a short press: it goes on
    page.get_by_text("Listening").wait_for()
    assert page.get_by_role("button", name="Speak").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    page.get_by_text("Listening").wait_for(state="hidden")
    assert page.locator("textarea").input_value() == ""
    page.keyboard.press("Space")
    page.get_by_text("Listening").wait_for()
    page.keyboard.down("Space")
    page.keyboard.up("Space")
    page.get_by_text("Listening").wait_for(state="hidden")


def test_what_is_too_short_to_be_heard_is_told_at_once_and_not_sent(page: Page, server: Served) -> None:
    pytest.importorskip("pocketsphinx")
    told = {**server.login().get("/api/voice").json(), "shortest_s": 3600}
    page.route("**/api/voice", lambda route: route.fulfill(json=told))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.get_by_role("button", name="Speak").focus()
    page.keyboard.press("Space")
    page.get_by_text("Listening").wait_for()
    page.wait_for_timeout(1500)  # a recording with some sound in it
    page.keyboard.press("Space")
    page.get_by_role("alert").get_by_text("hold the button while you speak").wait_for()
    assert not [url for url in sent if url.endswith("/transcription")]
    page.unroute("**/api/voice")


def test_an_answer_is_read_aloud_and_stopped(page: Page, spoken_to: Watched) -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("no espeak-ng here")
    page.locator("textarea").fill(" ".join(["good morning to you all"] * 20))
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Read aloud").click()
    page.wait_for_function("window.played === 1")
    page.get_by_role("button", name="Stop reading").click()
    page.wait_for_function("window.silenced === 1")
    page.get_by_role("button", name="Read aloud").wait_for()
    page.get_by_role("button", name="Read aloud").click()
    page.wait_for_function("window.played === 2")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Read aloud").wait_for()
    assert not spoken_to.errors


def test_where_nothing_hears_the_page_says_what_to_fetch(page: Page) -> None:
    reason = {"ok": False, "reason": "nothing is installed that hears what you say", "hint": 'pip install "edgekit[voice]"'}
    page.route("**/api/voice", lambda route: route.fulfill(json={"hears": reason, "speaks": reason, "longest_s": 60}))
    page.get_by_role("button", name="Speak").click()
    page.get_by_role("alert").get_by_text('pip install "edgekit[voice]"').wait_for()
    page.unroute("**/api/voice")


def test_a_browser_without_a_microphone_is_told_where_it_gives_one(page: Page) -> None:
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    page.get_by_role("button", name="Speak").click()
    page.get_by_role("alert").get_by_text("https:// and to localhost only").wait_for()
