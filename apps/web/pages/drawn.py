"""The pages as an application: the app's own and the shell's, each in its frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, Response
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.requests import Request as HttpRequest

from edgekit.apps.web.pages import account, frame, interface
from edgekit.apps.web.plain import message_page
from edgekit.apps.web.security.accounts import Accounts
from edgekit.apps.web.security.requests import Request
from edgekit.apps.web.shell import Shell, checked_pages


def drawn(shell: Shell, accounts: Accounts, openapi: Callable[[], Mapping[str, Any]]) -> FastAPI:
    """The application. One per process: NiceGUI has one set of pages. Raises `UsageError` for pages that break a rule."""
    pages = checked_pages(shell)
    frame.add_look()
    for page in (*pages, *account.pages(accounts), interface.page(openapi)):
        frame.register(shell.title, pages, page)
    nicegui_app.add_exception_handler(404, _nothing_here)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(app, title=shell.title, dark=None, tailwind=False, storage_secret=None, show_welcome_message=False)
    return app


def _nothing_here(request: HttpRequest, error: Exception) -> Response:
    asked = Request(request.scope)
    message = f"There is nothing at {asked.path[:80]}"
    if asked.wants_page:
        return HTMLResponse(message_page(message, "Was the link copied whole?", theme=asked.theme), status_code=404)
    return JSONResponse({"error": message, "hint": ""}, status_code=404)
