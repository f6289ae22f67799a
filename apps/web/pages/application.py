"""The server's application: FastAPI with the shell's routes and the app's routers, behind the guards; its pages come later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from starlette.requests import Request as HttpRequest

from edgekit import __version__
from edgekit.apps.web.options import Serving
from edgekit.apps.web.pages import login, metrics
from edgekit.apps.web.pages.departed import Departed
from edgekit.apps.web.pages.late import Late
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
    """Everything the server answers with."""
    pages = Late(lambda: _drawn(shell, accounts, app))
    app = FastAPI(
        title=f"edgekit {shell.title}",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI,
        lifespan=_lifespan(shell, pages),
    )
    doors = login.Doors(accounts, title=shell.title, is_tls=serving.is_tls)
    app.include_router(login.router(doors), dependencies=[Depends(_expecting(pages))])
    bearer = Depends(HTTPBearer(auto_error=False, description="made on the page Account, or with 'edgekit users token'"))
    app.include_router(metrics.router(metrics.registry(shell.collectors)), dependencies=[bearer])
    for api in shell.apis:
        app.include_router(api.router, prefix=api.prefix, dependencies=[bearer, Depends(_allowed(api))])
    app.add_exception_handler(EdgekitError, _said)
    app.mount("/", pages)
    return _guarded(app, shell, serving, accounts)


def _lifespan(shell: Shell, pages: Late) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with pages, shell.lifespan():
            yield

    return lifespan


def _drawn(shell: Shell, accounts: Accounts, app: FastAPI) -> FastAPI:
    """The pages, and with them NiceGUI, which is imported here and not before."""
    from edgekit.apps.web.pages.drawn import drawn

    return drawn(shell, accounts, app.openapi)


def _expecting(pages: Late) -> Callable[[HttpRequest], Awaitable[None]]:
    """Whoever looks at the login wants a page next: it is made while they type."""

    async def expect(request: HttpRequest) -> None:
        if Request(request.scope).wants_page:
            pages.expected()

    return expect


def _allowed(api: Api) -> Callable[[HttpRequest], None]:
    """Refuses what the user's role does not allow with this interface."""

    def check(request: HttpRequest) -> None:
        role = api.reads if request.method in SAFE_METHODS else api.writes
        if not request.scope["state"]["user"].may(role):
            raise HTTPException(403, f"this needs the role {role}")

    return check


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
