"""Logging in and out, and the one thing that is said to strangers: that the server is alive."""

from __future__ import annotations

import asyncio
from html import escape
from importlib.resources import files
from string import Template

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.requests import Request as HttpRequest

from edgekit.apps.web.plain import plain_page
from edgekit.apps.web.security.accounts import Accounts
from edgekit.apps.web.security.authentication import cookie_name
from edgekit.apps.web.security.requests import Request
from edgekit.apps.web.security.throttle import Rate, Throttle
from edgekit.apps.web.shell import User

PER_ADDRESS = Rate(burst=5, seconds=20)
PER_NAME = Rate(burst=20, seconds=60)
"""A password is tried from many addresses at once by a botnet; the sessions that are open stay open meanwhile."""

COOKIE_S = 30 * 86_400


class Doors:
    """The login of one server: its accounts, and how often somebody may be wrong."""

    def __init__(self, accounts: Accounts, *, title: str, is_tls: bool) -> None:
        self._accounts, self.title, self.is_tls = accounts, title, is_tls
        self._addresses, self._names = Throttle(PER_ADDRESS), Throttle(PER_NAME)
        self._one_at_a_time = asyncio.Lock()

    async def enter(self, address: str, name: str, password: str) -> User | int:
        """The user, or how many seconds to wait before the next try (0: wrong, but try again).

        One password is hashed at a time: a flood of tries must not take the memory and the cores of a small board.
        """
        async with self._one_at_a_time:
            if wait := max(self._addresses.wait_s(address), self._names.wait_s(name)):
                return wait
            user = await asyncio.to_thread(self._accounts.login, name, password)
            for throttle, key in ((self._addresses, address), (self._names, name)):
                (throttle.succeeded if user else throttle.failed)(key)
            return user or 0

    def admit(self, user: User, response: Response) -> Response:
        """`response`, with a new session of `user` in a cookie that no script sees and no other site sends."""
        secret = self._accounts.open_session(user)
        name = cookie_name(is_tls=self.is_tls)
        response.set_cookie(name, secret, max_age=COOKIE_S, httponly=True, samesite="lax", secure=self.is_tls, path="/")
        return response

    def dismiss(self, secret: str, response: Response) -> Response:
        """`response`, with the session ended and its cookie gone."""
        self._accounts.close_session(secret)
        response.delete_cookie(cookie_name(is_tls=self.is_tls), path="/", secure=self.is_tls, httponly=True)
        return response


def router(doors: Doors) -> APIRouter:
    """`/login`, `/logout` and `/health`; of these only `/logout` asks who is there."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @routes.get("/login")
    async def form(request: HttpRequest) -> Response:
        return _form(doors, request, request.query_params.get("next", "/"))

    @routes.post("/login")
    async def login(request: HttpRequest) -> Response:
        return await _login(doors, request)

    @routes.post("/logout")
    async def logout(request: HttpRequest) -> Response:
        secret = Request(request.scope).cookie(cookie_name(is_tls=doors.is_tls))
        return doors.dismiss(secret, RedirectResponse("/login", status_code=303))

    return routes


async def _login(doors: Doors, request: HttpRequest) -> Response:
    async with request.form(max_files=0, max_fields=8) as given:
        name, password, back = (str(given.get(field, "")) for field in ("name", "password", "next"))
    found = await doors.enter(Request(request.scope).address, name, password)
    if isinstance(found, User):
        return doors.admit(found, RedirectResponse(local(back), status_code=303))
    if found:
        message = f"Too many wrong passwords. Try again in {found} s."
        return _form(doors, request, back, name=name, message=message, status=429, headers={"retry-after": str(found)})
    return _form(doors, request, back, name=name, message="That name and password do not belong together.", status=401)


def local(path: str) -> str:
    """`path` when it stays on this server, else the start: a link must not lead elsewhere through the login."""
    stays = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if stays else "/"


def _form(
    doors: Doors,
    request: HttpRequest,
    back: str,
    *,
    name: str = "",
    message: str = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> HTMLResponse:
    template = Template((files("edgekit.apps.web") / "static" / "login.html").read_text(encoding="utf-8"))
    said = f'<p class="problem" role="alert">{escape(message)}</p>' if message else ""
    first, then = ("", "autofocus") if name else ("autofocus", "")
    body = template.substitute(
        title=escape(doors.title), message=said, name=escape(name[:64]), next=escape(local(back)), first=first, then=then
    )
    page = plain_page("Log in", body, theme=Request(request.scope).theme)
    return HTMLResponse(page, status_code=status, headers=headers)
