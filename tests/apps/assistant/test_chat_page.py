"""The pages in a real browser: streamed, stopped, asked again, cited, remembered, by keyboard and on a phone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("nicegui")

from documents import write_documents
from elsewhere import Elsewhere
from waiting import wait_until
from web import PHONE, Served, Watched, browser, chromium, log_in, served, visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LONG = " ".join(f"word{number}" for number in range(150))
QUESTION = "How many litres of water does the pump move?"


def assistant(home: Path, *options: str) -> AbstractContextManager[Served]:
    return served(["-m", "edgekit", "run", "assistant", "--port", "0", "--data", str(home / "data"), *options], cwd=home)


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser(chromium()) as running:
        yield running


@pytest.fixture(scope="module")
def speaking(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A model that repeats what it is told, a word every 20 ms, and no documents."""
    with assistant(tmp_path_factory.mktemp("speaking"), "--runtime", "parrot", "--artifact", "0.02") as server:
        yield server


@pytest.fixture(scope="module")
def quoting(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Documents and no model."""
    home = tmp_path_factory.mktemp("quoting")
    with assistant(home, "--documents", str(write_documents(home / "documents"))) as server:
        yield server


@pytest.fixture(scope="module")
def talk(chrome: Browser, speaking: Served) -> Iterator[Watched]:
    with visitor(chrome) as watched:
        log_in(watched.page, speaking)
        yield watched


@pytest.fixture(scope="module")
def quote(chrome: Browser, quoting: Served) -> Iterator[Watched]:
    with visitor(chrome) as watched:
        log_in(watched.page, quoting)
        yield watched


@pytest.fixture
def chat(talk: Watched) -> Page:
    """A new chat with the model."""
    return begun(talk.page)


@pytest.fixture
def asking(quote: Watched) -> Page:
    """A new chat with the documents."""
    return begun(quote.page)


def begun(page: Page) -> Page:
    page.goto(page.url.split("?")[0].rstrip("/").removesuffix("/documents").removesuffix("/analytics") + "/")
    page.get_by_label("Question").wait_for()
    page.wait_for_selector(".as-transcript .ek-empty")
    return page


def ask(page: Page, text: str) -> None:
    page.get_by_label("Question", exact=True).and_(page.locator("textarea")).fill(text)
    page.keyboard.press("Enter")


def answered(page: Page) -> None:
    page.get_by_role("button", name="Retry").wait_for()


def test_an_answer_is_seen_while_it_grows_and_says_how_fast_it_came(chat: Page) -> None:
    ask(chat, LONG)
    chat.wait_for_function("document.querySelector('.as-said')?.textContent.includes('word5')")
    assert "word149" not in chat.locator(".as-said").inner_text()
    chat.get_by_role("button", name="Stop").wait_for()
    ask_words = " ".join(LONG.split()[:20])
    chat.get_by_role("button", name="Stop").click()
    answered(chat)
    assert chat.locator(".as-said").inner_text().startswith(ask_words[:30])
    assert "Stopped" in chat.locator(".as-badge").inner_text()


def test_a_whole_answer_says_tokens_a_second_and_time_to_the_first(chat: Page) -> None:
    ask(chat, "good morning to you all")
    answered(chat)
    assert chat.locator(".as-said").inner_text() == "good morning to you all"
    assert re.search(r"[\d.]+ tokens/s · first token after [\d.]+ m?s", chat.locator(".as-speed").inner_text())
    assert not chat.locator(".as-badge").count()


def test_escape_stops_and_what_was_said_is_kept(chat: Page) -> None:
    ask(chat, LONG)
    chat.wait_for_function("document.querySelector('.as-said')?.textContent.includes('word3')")
    chat.keyboard.press("Escape")
    answered(chat)
    said = chat.locator(".as-said").inner_text()
    chat.locator(".as-entry-open").first.click()
    chat.wait_for_function("said => document.querySelector('.as-said')?.innerText === said", arg=said)


def test_retry_asks_the_same_again_and_the_old_answer_is_gone(chat: Page, speaking: Served) -> None:
    ask(chat, "once and once more")
    answered(chat)
    chat.get_by_role("button", name="Retry").click()
    chat.wait_for_function("document.querySelectorAll('.as-answer').length === 1")
    answered(chat)
    kept = speaking.login().get("/api/conversations/export").json()["conversations"][0]["messages"]
    assert [one["content"] for one in kept] == ["once and once more"] * 2


def test_a_second_turn_goes_on_and_only_the_last_answer_can_be_asked_again(chat: Page) -> None:
    ask(chat, "the first")
    answered(chat)
    ask(chat, "the second")
    chat.wait_for_function("document.querySelectorAll('.as-speed').length === 2")
    assert chat.locator(".as-said").all_inner_texts() == ["the first", "the second"]
    assert chat.get_by_role("button", name="Retry").count() == 1
    assert "prompt tokens known" in chat.locator(".as-speed").last.inner_text()


def test_what_is_asked_and_said_is_text_and_never_part_of_the_page(talk: Watched, chat: Page) -> None:
    ask(chat, "<img src=x onerror=alert(1)> **bold** `code` [1]")
    answered(chat)
    assert chat.locator(".as-said").inner_text() == "<img src=x onerror=alert(1)> bold code [1]"
    assert not chat.locator(".as-transcript img").count()
    assert not talk.errors


def test_conversations_are_searched_opened_exported_and_deleted(chat: Page) -> None:
    ask(chat, "the quick vixen")
    answered(chat)
    chat.get_by_role("button", name="New chat").click()
    ask(chat, "something else")
    answered(chat)
    chat.get_by_label("Search conversations").fill("vix")
    chat.wait_for_function("document.querySelectorAll('.as-entry').length === 1")
    chat.locator(".as-entry-open").click()
    chat.get_by_role("article", name="Question").get_by_text("the quick vixen").wait_for()
    with chat.expect_download() as saved:
        chat.get_by_role("button", name="Export all").click()
    assert not chat.locator(".q-notification").count()  # which a handler that failed would have left
    titles = [one["title"] for one in json.loads(Path(saved.value.path()).read_text())["conversations"]]
    assert {"the quick vixen", "something else"} <= set(titles)
    chat.get_by_role("button", name="Delete the quick vixen").click()
    chat.get_by_role("button", name="Delete", exact=True).click()
    chat.wait_for_selector(".as-transcript .ek-empty")
    chat.get_by_text("Nothing found").wait_for()


def test_everything_works_with_the_keyboard_alone(chat: Page) -> None:
    chat.locator("body").click(position={"x": 5, "y": 400})
    chat.keyboard.press("/")
    chat.keyboard.type("typed alone")
    chat.keyboard.press("Shift+Enter")
    chat.keyboard.type("on two lines")
    chat.keyboard.press("Enter")
    answered(chat)
    assert "on two lines" in chat.get_by_role("article", name="Question").inner_text()
    retry = chat.get_by_role("button", name="Retry", exact=True).last
    retry.wait_for()  # an answer's buttons come a moment after its last word

    def reached() -> bool:  # back from the place to type to the last button of the answer
        chat.keyboard.press("Shift+Tab")
        return bool(chat.evaluate("document.activeElement.getAttribute('aria-label')") == "Retry")

    wait_until(reached, "the keyboard reaches Retry")
    chat.evaluate("document.querySelector('.as-speed').dataset.first = 'yes'")
    retry.press("Enter")
    chat.wait_for_function("document.querySelector('.as-speed[data-first]') === null")
    answered(chat)


def test_quoted_answers_are_labelled_and_their_sources_open_at_the_passage(asking: Page) -> None:
    ask(asking, QUESTION)
    answered(asking)
    assert "forty litres" in asking.locator(".as-said").inner_text()
    assert "no model spoke" in asking.locator(".as-badge").inner_text()
    asking.get_by_role("button", name="Source 1", exact=True).click()
    marked = asking.locator(".as-passage")
    marked.wait_for()
    assert "forty litres of water" in marked.inner_text()
    assert "changed every six months" in asking.locator(".as-document").inner_text()
    asking.keyboard.press("Escape")
    asking.locator(".as-dialog-text").wait_for(state="hidden")


UNCOVERED = """() => {
  const last = [...document.querySelectorAll('.as-foot')].at(-1)?.getBoundingClientRect();
  const above = document.querySelector('.as-composer').getBoundingClientRect().top;
  return last && last.height && last.bottom <= above;
}"""


def test_an_answer_that_is_there_at_once_is_in_sight_on_a_phone_and_who_scrolls_up_is_left_there(
    chrome: Browser, quoting: Served
) -> None:
    with visitor(chrome, size=PHONE, touch=True) as watched:
        page = watched.page
        log_in(page, quoting)
        for count in range(1, 4):
            ask(page, QUESTION)
            page.wait_for_function(f"document.querySelectorAll('.as-answer .as-source').length >= {count}")
            answered(page)
            page.wait_for_function(UNCOVERED)
        page.evaluate("window.scrollTo(0, 0)")
        page.wait_for_function("window.scrollY === 0")
        page.evaluate("document.querySelector('.as-transcript').append(document.createElement('p'))")
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate("window.scrollY") == 0


def test_a_passage_far_down_in_a_long_document_is_in_sight_on_a_slow_machine_too(chrome: Browser, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    many = [f"Paragraph {number} says nothing about it.\n\n" for number in range(100)]
    (documents / "long.txt").write_text("".join([*many, "The zeppelin weighs nine tonnes.\n\n", *many]))
    with assistant(tmp_path, "--documents", str(documents)) as server, visitor(chrome) as watched:
        page = watched.page
        log_in(page, server)
        page.wait_for_function("document.querySelector('.as-about')?.textContent.includes('1 document')")
        ask(page, "How much does the zeppelin weigh?")
        answered(page)
        page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 20})
        page.get_by_role("button", name="Source 1", exact=True).click()
        page.wait_for_function(IN_SIGHT)


IN_SIGHT = """() => {
  const one = document.querySelector('.as-passage')?.getBoundingClientRect();
  const frame = document.querySelector('.as-dialog-text')?.getBoundingClientRect();
  return one && one.height && frame.height > 200 && one.top >= frame.top && one.bottom <= frame.bottom;
}"""


def test_what_no_document_is_about_is_said_so(asking: Page) -> None:
    ask(asking, "Which emperor crossed the Alps with elephants?")
    answered(asking)
    assert "Not in your documents" in asking.locator(".as-badge").inner_text()
    assert not asking.locator(".as-source").count()


def test_documents_are_added_read_and_removed(asking: Page, quoting: Served) -> None:
    asking.goto(f"{quoting.url}/documents")
    asking.get_by_text("pump.md", exact=True).wait_for()
    asking.locator("input[type=file]").set_input_files(
        {"name": "../../new sheet\u202e.txt", "mimeType": "text/plain", "buffer": b"The zeppelin weighs nine tonnes."}
    )
    asking.get_by_text("new sheet_.txt", exact=True).wait_for()
    asking.get_by_text("5 documents").wait_for()
    asking.get_by_role("button", name="Delete new sheet_.txt").click()
    asking.get_by_role("button", name="Delete", exact=True).click()
    asking.get_by_text("4 documents").wait_for()
    assert all("sheet" not in one["path"] for one in quoting.login().get("/api/documents").json()["documents"])


def test_a_file_of_another_kind_is_refused_with_the_reason(asking: Page, quoting: Served) -> None:
    asking.goto(f"{quoting.url}/documents")
    asking.locator("input[type=file]").set_input_files({"name": "a.exe", "mimeType": "x/y", "buffer": b"MZ"})
    asking.get_by_text("no document of at most 30 MB").wait_for()


def test_figures_are_drawn_and_the_log_is_turned_off_and_forgotten(quote: Watched, quoting: Served) -> None:
    page = begun(quote.page)
    ask(page, QUESTION)
    answered(page)
    page.goto(f"{quoting.url}/analytics")
    page.locator(".as-charts canvas").first.wait_for()
    chart, panel = (page.locator(f".as-charts {part}").first.bounding_box() for part in ("canvas", ".ek-panel"))
    assert chart is not None and panel is not None and chart["width"] > 0.8 * panel["width"]
    assert int(page.locator(".as-tile dd").first.inner_text()) >= 1
    page.get_by_role("switch", name="Keep a log of queries").click()
    page.get_by_role("button", name="Forget all queries").click()
    page.get_by_text("Nothing was asked in this time").wait_for()
    ask(begun(page), QUESTION)
    answered(page)
    assert quoting.login().get("/api/analytics").json()["summary"]["queries"] == 0
    page.goto(f"{quoting.url}/analytics")
    page.get_by_role("switch", name="Keep a log of queries").click()


def test_on_a_phone_nothing_is_wider_than_the_screen_and_the_list_opens_over_it(chrome: Browser, quoting: Served) -> None:
    with visitor(chrome, size=PHONE, dark=True, touch=True) as watched:
        page = watched.page
        log_in(page, quoting)
        ask(page, QUESTION)
        answered(page)
        for path in ("/", "/documents", "/analytics"):
            if path != "/":
                page.goto(quoting.url + path)
                page.locator(".ek-heading").wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], path
        page.goto(quoting.url)
        page.get_by_role("button", name="Conversations").click()
        page.locator(".as-entry-open").first.click()
        page.get_by_role("article", name="Question").wait_for()
        box = page.locator(".as-composer").bounding_box()
        nav = page.locator(".ek-nav").bounding_box()
        assert box is not None and nav is not None and box["y"] + box["height"] <= nav["y"]
        assert not watched.errors
        assert watched.hosts == {quoting.url.removeprefix("http://")}


def test_on_a_phone_the_list_has_the_keyboard_as_long_as_it_is_open(chrome: Browser, quoting: Served) -> None:
    with visitor(chrome, size=PHONE) as watched:
        page = watched.page
        log_in(page, quoting)
        page.get_by_role("button", name="Conversations").press("Enter")
        page.wait_for_function("document.activeElement.matches('.as-new')")
        page.keyboard.press("Escape")
        page.wait_for_function("document.activeElement.matches('.as-menu') && !document.querySelector('.as-memory.as-open')")
        page.get_by_role("button", name="Conversations").click()
        page.mouse.click(PHONE[0] - 10, 300)
        page.wait_for_function("!document.querySelector('.as-memory.as-open')")


def test_whoever_uses_the_keyboard_sees_where_they_are(asking: Page, quoting: Served) -> None:
    ask(asking, QUESTION)
    answered(asking)
    for path in ("", "/documents", "/analytics"):
        if path:
            asking.goto(f"{quoting.url}{path}")
            asking.locator(".ek-panel").first.wait_for()
        asking.evaluate("document.activeElement.blur()")
        seen = {}
        for _ in range(30):
            asking.keyboard.press("Tab")
            name, ring = asking.evaluate(FOCUSED)
            seen[name] = ring
        assert len(seen) > 7 and {name for name, ring in seen.items() if ring == "none"} == set(), path


FOCUSED = """() => {
  const one = document.activeElement, frame = one.closest('.as-composer, .q-field');
  return [one.ariaLabel || one.innerText, one === document.body || frame ? 'its frame' : getComputedStyle(one).outlineStyle];
}"""


def test_an_answer_from_elsewhere_wears_its_badge_on_a_phone_as_well(chrome: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_text("<html>not found</html>")
    documents = str(write_documents(tmp_path / "documents"))
    with closing(Elsewhere()) as other:
        long = f"{other.url}/with/a/long/path/to/the/interface/of/somebody/else/altogether"
        options = ("--artifact", str(tmp_path / "page.gguf"), "--fallback-url", long, "--fallback-documents")
        with assistant(tmp_path, "--documents", documents, *options) as server, visitor(chrome, size=PHONE) as watched:
            page = watched.page
            log_in(page, server)
            ask(page, QUESTION)
            answered(page)
            host = other.url.split("/")[2]
            assert f"Fallback: big at {host}, with passages of your documents" in page.locator(".as-badge").inner_text()
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
            page.goto(f"{server.url}/documents")
            page.get_by_text(f"Passages may be sent to {host}.").wait_for()


def test_with_neither_model_nor_documents_the_page_says_what_to_do(chrome: Browser, tmp_path: Path) -> None:
    with assistant(tmp_path) as server, visitor(chrome) as watched:
        log_in(watched.page, server)
        watched.page.get_by_text("No language model was given").wait_for()
        assert watched.page.locator("textarea").is_disabled()
        watched.page.goto(f"{server.url}/documents")
        watched.page.get_by_text("started without documents").wait_for()


def test_a_model_that_does_not_load_is_refused_with_its_reason(chrome: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_text("<html>not found</html>")
    (tmp_path / "documents").mkdir()
    with assistant(tmp_path, "--artifact", str(tmp_path / "page.gguf")) as server, visitor(chrome) as watched:
        log_in(watched.page, server)
        ask(watched.page, "hello")
        watched.page.locator(".ek-problem-message").wait_for()
        assert "page.gguf" in watched.page.locator(".ek-problem").inner_text()
        answered(watched.page)


def test_what_the_model_remembers_is_kept_when_the_server_ends(chrome: Browser, tmp_path: Path) -> None:
    with assistant(tmp_path, "--runtime", "parrot") as server, visitor(chrome) as watched:
        log_in(watched.page, server)
        ask(watched.page, "good morning to you all")
        answered(watched.page)
    (state,) = (tmp_path / "data" / "states").iterdir()
    assert state.suffix == ".state" and state.stat().st_mode & 0o777 == 0o600
