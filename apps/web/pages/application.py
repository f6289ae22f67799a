"""The server's application: FastAPI with the shell's routes, the app's routers and pages, behind the guards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPBearer
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.requests import Request as HttpRequest

from edgekit import __version__
from edgekit.apps.web.options import Serving
from edgekit.apps.web.pages import account, frame, interface, login, metrics
from edgekit.apps.web.pages.departed import Departed
from edgekit.apps.web.plain import message_page
from edgekit.apps.web.security.accounts import Accounts
from edgekit.apps.web.security.authentication import Authentication
from edgekit.apps.web.security.bodies import Bodies
from edgekit.apps.web.security.headers import Headers
from edgekit.apps.web.security.origins import Origins, own_names
from edgekit.apps.web.security.requests import SAFE_METHODS, Request
from edgekit.apps.web.shell import Api, Shell
from edgekit.core.errors import EdgekitError, InputError, NotFound

if TYPE_CHECKING:
    from starlette.types import ASGIApp

UPLOAD_BYTES = 32_000_000
"""What may be dropped on a page."""

OPENAPI = "/interface/openapi.json"
STATUS = ((NotFound, 404), (InputError, 422))


def application(shell: Shell, serving: Serving, accounts: Accounts) -> ASGIApp:
    """Everything the server answers with. One per process: NiceGUI has one set of pages."""
    app = FastAPI(
        title=f"edgekit {shell.title}",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI,
        lifespan=_lifespan(shell),
    )
    doors = login.Doors(accounts, title=shell.title, is_tls=serving.is_tls)
    app.include_router(login.router(doors))
    bearer = Depends(HTTPBearer(auto_error=False, description="made on the page Account, or with 'edgekit users token'"))
    app.include_router(metrics.router(metrics.registry(shell.collectors)), dependencies=[bearer])
    for api in shell.apis:
        app.include_router(api.router, prefix=api.prefix, dependencies=[bearer, Depends(_allowed(api))])
    app.add_exception_handler(EdgekitError, _said)
    _mount_pages(app, shell, accounts)
    return _guarded(app, shell, serving, accounts)


def _lifespan(shell: Shell) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with shell.lifespan():
            yield

    return lifespan


def _allowed(api: Api) -> Callable[[HttpRequest], None]:
    """Refuses what the user's role does not allow with this interface."""

    def check(request: HttpRequest) -> None:
        role = api.reads if request.method in SAFE_METHODS else api.writes
        if not request.scope["state"]["user"].may(role):
            raise HTTPException(403, f"this needs the role {role}")

    return check


def _mount_pages(app: FastAPI, shell: Shell, accounts: Accounts) -> None:
    """The app's pages and the shell's own, in the frame."""
    frame.add_look()
    for page in (*shell.pages, *account.pages(accounts), interface.page(app.openapi)):
        frame.register(shell, page)
    nicegui_app.add_exception_handler(404, _nothing_here)
    ui.run_with(app, title=shell.title, dark=None, tailwind=False, storage_secret=None, show_welcome_message=False)


def _guarded(app: ASGIApp, shell: Shell, serving: Serving, accounts: Accounts) -> ASGIApp:
    """The application behind everything that is decided before it sees a request; the last one here is asked first."""
    limits = {api.prefix: api.body_bytes for api in shell.apis} | {"/_nicegui": UPLOAD_BYTES, "/_nicegui_ws": UPLOAD_BYTES}
    guarded: ASGIApp = Bodies(Departed(app), limits)
    guarded = Authentication(guarded, accounts, is_tls=serving.is_tls)
    guarded = Origins(guarded, own_names((serving.host, *serving.names)))
    return Headers(guarded)


def _said(request: HttpRequest, error: Exception) -> Response:
    """An expected error of an app, as JSON."""
    assert isinstance(error, EdgekitError)
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 400)
    return JSONResponse({"error": error.message, "hint": error.hint}, status_code=status)


def _nothing_here(request: HttpRequest, error: Exception) -> Response:
    asked = Request(request.scope)
    message = f"There is nothing at {asked.path[:80]}"
    if asked.wants_page:
        return HTMLResponse(message_page(message, "Was the link copied whole?", theme=asked.theme), status_code=404)
    return JSONResponse({"error": message, "hint": ""}, status_code=404)
