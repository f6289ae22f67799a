"""Who is asking: by the session in a cookie, or by a bearer token. Without either, only the open paths answer."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from edgekit.apps.web.security.refusals import Refusal, refuse
from edgekit.apps.web.security.requests import Request

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from edgekit.apps.web.security.accounts import Accounts
    from edgekit.apps.web.shell import User

OPEN = ("/login", "/health")
COOKIE, COOKIE_TLS = "edgekit_session", "__Host-edgekit_session"
BEARER = "bearer "


class Authentication:
    """Puts the user into `scope["state"]["user"]`, or refuses. `["alive"]` asks again later: what stays open must not outlive it."""

    def __init__(self, app: ASGIApp, accounts: Accounts, *, is_tls: bool) -> None:
        self.app, self._accounts, self._cookie = app, accounts, cookie_name(is_tls=is_tls)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        user = self._user(request)
        if user is None and not (scope["type"] == "http" and request.path in OPEN):
            await refuse(scope, send, _refusal(request))
            return
        scope.setdefault("state", {}).update(user=user, alive=lambda: self._user(request) is not None)
        await self.app(scope, receive, send)

    def _user(self, request: Request) -> User | None:
        given = request.header("authorization")
        if given[: len(BEARER)].lower() == BEARER:
            return self._accounts.token(given[len(BEARER) :].strip())
        secret = request.cookie(self._cookie)
        return self._accounts.session(secret) if secret else None


def cookie_name(*, is_tls: bool) -> str:
    """The session's cookie; under TLS with the prefix that keeps other hosts from setting it."""
    return COOKIE_TLS if is_tls else COOKIE


def _refusal(request: Request) -> Refusal:
    """A person is sent to the login, a program is told what is missing."""
    if request.wants_page and request.method == "GET":
        back = "" if request.path == "/" else f"?next={quote(request.path)}"
        return Refusal(status=303, message="log in first", headers=(("location", f"/login{back}"),))
    return Refusal(
        status=401,
        message="this needs a login or a token",
        hint="send 'Authorization: Bearer TOKEN'; tokens are made on the page Account",
        headers=(("www-authenticate", 'Bearer realm="edgekit"'),),
    )
