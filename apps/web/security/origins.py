"""Which names the server answers to, and which pages may send it something.

A name that the machine does not have is DNS rebinding; a request that changes something and comes from another site's page
is forgery. Addresses need no list: rebinding works with names only.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edgekit.apps.web.security.refusals import Refusal, refuse
from edgekit.apps.web.security.requests import SAFE_METHODS, Request, split_host

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

DEFAULT_PORTS = {"http": 80, "https": 443}
SAME_SITE = ("", "same-origin", "none")


def own_names(more: Iterable[str] = ()) -> frozenset[str]:
    """The names of this machine, and those that were given."""
    host = socket.gethostname().lower()
    return frozenset({"localhost", host, f"{host.partition('.')[0]}.local", *(name.lower().rstrip(".") for name in more)})


class Origins:
    """Refuses requests for other hosts, and those that other sites' pages send."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self.app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif refusal := self._refusal(Request(scope)):
            await refuse(scope, send, refusal)
        else:
            await self.app(scope, receive, send)

    def _refusal(self, request: Request) -> Refusal | None:
        host = split_host(request.header("host"))
        if request.count("host") != 1 or host is None or not self._is_own(host.hostname or ""):
            named = request.header("host")[:80]
            return Refusal(status=421, message=f"no host {named!r} here", hint="--server-name NAME, when it is this machine's")
        if request.method in SAFE_METHODS or _same_origin(request):
            return None
        return Refusal(status=403, message="this request comes from a page of another site", hint="open the page itself")

    def _is_own(self, name: str) -> bool:
        return name.rstrip(".") in self._names or _is_address(name)


def _same_origin(request: Request) -> bool:
    """Whether the page that sends this is ours. Programs send no Origin, and no cookie that they do not have.

    The scheme is the browser's own: behind a proxy that speaks HTTPS this server sees HTTP.
    """
    origin = request.header("origin")
    if not origin:
        return request.header("sec-fetch-site") in SAME_SITE
    scheme = origin.partition("://")[0]
    here = _endpoint(f"{scheme}://{request.header('host')}")
    return here is not None and _endpoint(origin) == here


def _endpoint(origin: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(origin)
        return (parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme])
    except (ValueError, KeyError):
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
