"""A served app as a person or a program meets it: a real process on loopback, a real Chromium in front of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --hide-scrollbars "
    "--disable-component-update --disable-sync --disable-extensions --disable-dev-shm-usage --force-color-profile=srgb"
)
BUILDERS = str(Path(__file__).parent)
"""Apps that tests write may import what stands here."""
STARTS_WITHIN_S = 120.0
DESKTOP, PHONE = (1280, 900), (390, 844)
PATIENCE_MS = 120_000
"""How long a page is waited for: only a computer that is busy with other things takes long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that runs, its first user's password (empty when there was a user before), and what it said so far."""

    url: str
    password: str
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, **options: Any) -> httpx.Client:
        """A program that talks to it; not logged in. It is closed with the server."""
        self.clients.append(httpx.Client(base_url=self.url, timeout=30, trust_env=False, **options))
        return self.clients[-1]

    def login(self, name: str = "admin", password: str = "") -> httpx.Client:
        """A program with a session."""
        client = self.client()
        answer = client.post("/login", data={"name": name, "password": password or self.password})
        assert answer.status_code == 303, answer.text
        return client


@contextmanager
def served(argv: list[str], *, cwd: Path) -> Iterator[Served]:
    """Run `python ARGV`, which serves on a free port, until the block ends; it must then end well within seconds."""
    environment = {
        **os.environ,
        "HOME": str(cwd),
        "XDG_STATE_HOME": str(cwd / "state"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": BUILDERS,
    }
    with subprocess.Popen(
        [sys.executable, *argv], cwd=cwd, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        lines, said, clients = _lines(process), list[str](), list[httpx.Client]()
        try:
            yield _announced(process, lines, said, clients)
        finally:
            for client in clients:
                client.close()
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _lines(process: subprocess.Popen[str]) -> Queue[str | None]:
    """What the server says, read by a thread, so that waiting for it can end."""
    lines: Queue[str | None] = Queue()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _announced(
    process: subprocess.Popen[str], lines: Queue[str | None], said: list[str], clients: list[httpx.Client]
) -> Served:
    """Wait for the line with the address; fail with what was said when the server ends before."""
    while True:
        try:
            line = lines.get(timeout=STARTS_WITHIN_S)
        except Empty:
            line = None
        if line is None:
            pytest.fail(f"the server did not start:\n{''.join(said)}")
        said.append(line)
        if found := re.search(r": (https?://\S+)$", line.strip()):
            password = re.search(r"with the password (\S+)", "".join(said))
            return Served(url=found[1], password=password[1] if password else "", process=process, said=said, clients=clients)


def chromium() -> str:
    """The path of a Chromium; the test is skipped where there is none."""
    pytest.importorskip("playwright")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here")
    return found


@dataclass(frozen=True, slots=True)
class Watched:
    """A page that is open, the errors its console showed, and the hosts that were asked."""

    page: Page
    errors: list[str]
    hosts: set[str]


@contextmanager
def browser(executable: str, *flags: str) -> Iterator[Browser]:
    """A fresh Chromium; one at a time in a thread."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=executable, args=[*FLAGS.split(), *flags])
        yield opened
        opened.close()


UNSEEN_UNTIL_CONNECTED = """document.addEventListener('DOMContentLoaded', () => {
  if (!document.getElementById('popup')) return;  // no page of NiceGUI
  const root = document.documentElement.style;
  const look = () => { root.visibility = window.did_handshake ? '' : 'hidden'; if (!window.did_handshake) setTimeout(look, 5); };
  look();
});"""
"""Nobody presses two things within the moment in which a page connects; what is pressed then may arrive in another order."""


@contextmanager
def visitor(opened: Browser, *, size: tuple[int, int] = DESKTOP, dark: bool = False, touch: bool = False) -> Iterator[Watched]:
    """Somebody new in that browser, with one page and nothing remembered."""
    context = opened.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        has_touch=touch,
        ignore_https_errors=True,
    )
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(UNSEEN_UNTIL_CONNECTED)
    watched = Watched(context.new_page(), [], set())
    watched.page.on("console", lambda message: watched.errors.append(message.text) if message.type == "error" else None)
    watched.page.on("pageerror", lambda error: watched.errors.append(str(error)))
    context.on("request", lambda request: watched.hosts.add(urlsplit(request.url).netloc))
    yield watched
    context.close()


def log_in(page: Page, server: Served, *, name: str = "admin", password: str = "") -> None:
    """As a person does."""
    page.goto(server.url)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password or server.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector(".ek-main")
