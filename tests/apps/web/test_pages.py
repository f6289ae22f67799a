"""The frame around every page, in a real browser: login, navigation, account, and the end of a session."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from web import PHONE, Served, Watched, browser, chromium, log_in, visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NEW = "another long password"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser(chromium()) as running:
        yield running


@pytest.fixture
def opened(chrome: Browser, server: Served) -> Iterator[Watched]:
    with visitor(chrome) as watched:
        log_in(watched.page, server)
        yield watched
        assert watched.errors == []


@pytest.fixture
def page(opened: Watched) -> Page:
    return opened.page


def test_a_wrong_password_is_said_and_the_right_one_leads_where_one_wanted_to_go(chrome: Browser, server: Served) -> None:
    with visitor(chrome) as watched:
        page = watched.page
        page.goto(f"{server.url}/settings")
        page.get_by_label("Name").fill("admin")
        page.get_by_label("Password").fill("wrong")
        page.keyboard.press("Enter")
        assert "do not belong together" in page.get_by_role("alert").inner_text()
        page.get_by_label("Password").fill(server.password)
        page.keyboard.press("Enter")
        page.wait_for_selector(".ek-main")
        assert page.title() == "Settings · Notes"


def test_pages_are_found_in_the_navigation_and_an_empty_one_says_what_to_do(page: Page) -> None:
    assert page.get_by_text("No notes yet").is_visible()
    assert page.get_by_role("link", name="Notes", exact=True).get_attribute("aria-current") == "page"
    page.get_by_role("link", name="Settings").click()
    page.wait_for_url("**/settings")
    assert page.get_by_role("link", name="Settings").get_attribute("aria-current") == "page"


def test_the_keyboard_skips_to_the_content(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "ek-skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_on_a_phone_the_navigation_is_at_the_bottom_and_nothing_scrolls_sideways(chrome: Browser, server: Served) -> None:
    with visitor(chrome, size=PHONE) as watched:
        log_in(watched.page, server)
        for path in ("/", "/account", "/interface", "/broken"):
            watched.page.goto(server.url + path)
            watched.page.wait_for_selector(".ek-main")
            assert watched.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
            bar = watched.page.locator(".ek-nav").bounding_box()
            assert bar is not None
            assert bar["y"] + bar["height"] == pytest.approx(PHONE[1], abs=1)
            tabs = [tab.bounding_box() for tab in watched.page.locator(".ek-tab").all()]
            assert tabs[0] is not None and tabs[0]["x"] < 12, "the bar is filled from edge to edge"
            assert tabs[-1] is not None and tabs[-1]["x"] + tabs[-1]["width"] > PHONE[0] - 12


def test_a_token_is_made_shown_once_works_and_is_ended(page: Page, server: Served) -> None:
    page.goto(f"{server.url}/account")
    page.get_by_label("What for").fill("grafana")
    page.get_by_role("button", name="Make a token").click()
    page.get_by_text("Copy it now").wait_for()
    found = re.search(r"ek_[\w-]{40,}", page.locator(".ek-note").inner_text())
    assert found
    program = server.client(headers={"authorization": f"Bearer {found[0]}"})
    assert program.get("/metrics").status_code == 200
    page.reload()
    page.get_by_text("grafana").wait_for()
    assert found[0] not in page.content()
    page.get_by_role("button", name="End this token").click()
    page.get_by_text("grafana").wait_for(state="detached")
    assert program.get("/metrics").status_code == 401


def test_an_admin_adds_and_removes_a_viewer_and_is_told_of_a_short_password(page: Page, server: Served) -> None:
    page.goto(f"{server.url}/account")
    users = page.locator(".ek-panel", has_text="Users")
    users.get_by_label("Name").fill("vera")
    users.get_by_label("Password", exact=True).fill("short")
    users.get_by_role("button", name="Add").click()
    page.get_by_text("the password has 5 characters").wait_for()
    users.get_by_label("Password", exact=True).fill(NEW)
    users.get_by_role("button", name="Add").click()
    users.get_by_role("button", name="Remove vera").wait_for()
    assert server.login("vera", NEW).get("/api/notes").status_code == 200
    users.get_by_role("button", name="Remove vera").click()
    users.get_by_role("button", name="Remove vera").wait_for(state="detached")


def test_the_interface_is_listed(page: Page, server: Served) -> None:
    page.goto(f"{server.url}/interface")
    assert page.get_by_text("/v1/count").is_visible()


def test_logging_out_ends_the_session_here_and_on_the_server(page: Page, server: Served) -> None:
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    page.get_by_role("button", name="Menu").click()
    page.get_by_text("Log out").click()
    page.wait_for_url("**/login")
    assert server.client(cookies=cookies).get("/api/notes").status_code == 401


def test_a_live_picture_moves_and_is_made_only_while_somebody_watches(page: Page, server: Served) -> None:
    program = server.login()
    before = program.get("/v1/watched").json()
    assert before["watched"] is False
    page.goto(f"{server.url}/watch")
    page.wait_for_selector(".ek-live-live")
    color = """() => { const canvas = new OffscreenCanvas(1, 1), context = canvas.getContext('2d');
        context.drawImage(document.querySelector('.ek-live img'), 0, 0, 1, 1); return context.getImageData(0, 0, 1, 1).data[0]; }"""
    first = page.evaluate(color)
    page.wait_for_function(f"first => ({color})() !== first", arg=first)
    assert program.get("/v1/watched").json()["watched"] is True
    assert page.locator(".ek-chart canvas").count() == 1
    page.goto(f"{server.url}/account")
    page.wait_for_selector(".ek-panel")
    for _ in range(100):
        left = program.get("/v1/watched").json()
        if not left["watched"]:
            break
    assert left["watched"] is False
    assert left["encoded"] > before["encoded"]


@pytest.mark.slow
def test_a_page_that_is_open_leaves_when_its_session_ends(page: Page, server: Served) -> None:
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    server.client(cookies=cookies).post("/logout")
    page.wait_for_url("**/login", timeout=60_000)
