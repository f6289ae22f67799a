"""What stands around every page: the name, the navigation, the look, who is logged in, and what is shown when drawing fails."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from importlib.resources import files

from nicegui import app as nicegui_app
from nicegui import ui
from starlette.requests import Request as HttpRequest

from edgekit.apps.web.pages.parts import icon, problem
from edgekit.apps.web.security.requests import THEME_COOKIE, THEMES, Request
from edgekit.apps.web.shell import Page, User, Visit
from edgekit.core.errors import EdgekitError

LOG = logging.getLogger(__name__)

DARK = {"auto": None, "light": False, "dark": True}
SESSION_CHECK_S = 20.0
DRAWN_WITHIN_S = 30.0


def add_look() -> None:
    """The shell's style sheet, for every page."""
    folder = files("edgekit.apps.web") / "static"
    for name in ("colours.css", "shell.css"):
        ui.add_css((folder / name).read_text(encoding="utf-8"), shared=True)
    ui.add_head_html('<meta name="theme-color" content="#f6f5f1">', shared=True)
    nicegui_app.on_exception(_tell)


def register(title: str, pages: tuple[Page, ...], page: Page) -> None:
    """Serve `page` at its path, in the frame of the app `title` with its `pages`."""

    async def show(request: HttpRequest) -> None:
        visit = Visit(
            user=request.scope["state"]["user"],
            path={name: str(value) for name, value in request.path_params.items()},
            query=dict(request.query_params),
        )
        _behave(request.scope["state"]["alive"])
        _header(title, visit.user, Request(request.scope).theme, lambda: _navigation(pages, page, visit.user))
        with ui.element("main").classes("ek-main").props("id=content tabindex=-1"):
            await _drawn(page, visit)

    ui.page(page.path, title=f"{page.title} · {title}", response_timeout=DRAWN_WITHIN_S)(show)


async def _drawn(page: Page, visit: Visit) -> None:
    """The page's own content, or why there is none."""
    if not visit.user.may(page.role):
        problem(f"This page is for a user with the role {page.role}.", "log in as one")
        return
    try:
        done = page.draw(visit)
        if inspect.isawaitable(done):
            await done
    except EdgekitError as error:
        problem(error.message, error.hint)
    except Exception:
        LOG.exception("the page %s failed", page.path)
        problem("This page could not be drawn: that is a mistake in edgekit.", "the server's log says more")


def _behave(alive: Callable[[], bool]) -> None:
    """Leave for the login when the session has ended: a page that stays open must not outlive it."""
    timer = ui.timer(SESSION_CHECK_S, lambda: None if alive() else ui.navigate.to("/login"))
    ui.context.client.on_disconnect(timer.deactivate)
    ui.context.client.on_connect(timer.activate)


def _header(title: str, user: User, theme: str, navigation: Callable[[], None]) -> None:
    dark = ui.dark_mode(DARK[theme])
    ui.html('<a class="ek-skip" href="#content">Skip to the content</a>', sanitize=False)
    with ui.element("header").classes("ek-header"):
        with ui.link(target="/").classes("ek-brand").props(f'aria-label="{title}, start"'):
            icon("memory")
            ui.label(title)
        navigation()
        _menu(user, dark, theme)


def _navigation(pages: tuple[Page, ...], page: Page, user: User) -> None:
    """The pages that the user may open; alone, a page needs no navigation."""
    listed = [each for each in pages if each.listed and user.may(each.role)]
    if len(listed) < 2:
        return
    with ui.element("nav").classes("ek-nav").props('aria-label="Pages"'):
        for each in listed:
            with ui.link(target=each.path).classes("ek-tab") as link:
                icon(each.icon)
                ui.label(each.title)
            if each.path == page.path:
                link.props('aria-current="page"')


def _menu(user: User, dark: ui.dark_mode, theme: str) -> None:
    with ui.button().props('flat no-caps padding="6px 10px" aria-label="Menu" aria-haspopup="menu"').classes("ek-user"):
        icon("account_circle")
        ui.label(user.name).classes("ek-user-name")
        with ui.menu().props('anchor="bottom right" self="top right"').classes("ek-menu"):
            ui.label(f"{user.name} · {user.role}").classes("ek-menu-title")
            look = ui.toggle({name: name.capitalize() for name in THEMES}, value=theme)
            look.props('no-caps unelevated spread aria-label="Look"').classes("ek-look")
            look.on_value_change(lambda event: _choose(str(event.value), dark))
            for title, target in (("Account", "/account"), ("Programming interface", "/interface")):
                ui.menu_item(title, on_click=lambda target=target: ui.navigate.to(target))
            ui.separator()
            ui.menu_item("Log out", on_click=lambda: ui.run_javascript(LOG_OUT))


LOG_OUT = 'fetch("/logout", {method: "POST", redirect: "manual"}).then(() => location.assign("/login"))'


def _choose(theme: str, dark: ui.dark_mode) -> None:
    """Show the chosen look now, and remember it in this browser for a year."""
    dark.set_value(DARK[theme])
    ui.run_javascript(f'document.cookie = "{THEME_COOKIE}={theme}; path=/; max-age=31536000; samesite=lax"')


def _tell(error: Exception) -> None:
    """What goes wrong behind a button is said on the page; a mistake of ours is in the log as well."""
    expected = isinstance(error, EdgekitError)
    said = f"{error.message}. {error.hint}" if isinstance(error, EdgekitError) else "That failed. The server's log says more."
    if not expected:
        LOG.error("an event handler failed", exc_info=error)
    ui.notify(said, type="negative", multi_line=True, close_button="Close", timeout=8000)
