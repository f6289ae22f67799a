"""What the guards need to know of a request, read from its ASGI scope; nothing here trusts what it reads."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from starlette.types import Scope

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
THEME_COOKIE = "edgekit_theme"
THEMES = ("auto", "light", "dark")


class Request:
    """A view of an HTTP or WebSocket scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            self._headers.setdefault(name, []).append(value)

    @property
    def path(self) -> str:
        path: str = self._scope["path"]
        return path

    @property
    def method(self) -> str:
        """WebSockets count as POST: they may change things."""
        return "POST" if self._scope["type"] == "websocket" else str(self._scope["method"])

    @property
    def address(self) -> str:
        """Where the request comes from; all of IPv6's interface part counts as one address, since a host has all of it."""
        client = self._scope.get("client")
        host = str(client[0]) if client else "unknown"
        return host if host.count(":") < 2 else ":".join(host.split(":")[:4])

    @property
    def wants_page(self) -> bool:
        """Whether a person's browser is asking."""
        return "text/html" in self.header("accept")

    @property
    def theme(self) -> str:
        """The look that was chosen: auto, light or dark."""
        theme = self.cookie(THEME_COOKIE)
        return theme if theme in THEMES else "auto"

    def header(self, name: str) -> str:
        """A header's value, or nothing; of several equal ones the first."""
        values = self._headers.get(name.encode(), [])
        return values[0].decode("latin-1") if values else ""

    def count(self, name: str) -> int:
        """How many headers have this name."""
        return len(self._headers.get(name.encode(), []))

    def cookie(self, name: str) -> str:
        """A cookie's value, or nothing."""
        try:
            found = SimpleCookie(self.header("cookie")).get(name)
        except CookieError:
            return ""
        return found.value if found else ""


def split_host(text: str) -> SplitResult | None:
    """`HOST[:PORT]` taken apart, or None when it is not of that form."""
    try:
        parts = urlsplit(f"//{text}")
        _ = parts.port
    except ValueError:
        return None
    plain = not (parts.path or parts.query or parts.fragment or parts.username is not None)
    return parts if plain and parts.hostname else None
