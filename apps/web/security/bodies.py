"""How much a request may send: refused by its length before a byte is read, and cut off when it lied."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from edgekit.apps.web.security.refusals import Refusal, refuse
from edgekit.apps.web.security.requests import Request
from edgekit.apps.web.shell import is_under

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SMALL_BYTES = 64_000
"""What a login, a change of password or a page's own request may have."""


class _TooLarge(Exception):
    """More came than was allowed."""


class Bodies:
    """Refuses bodies above the limit of their path's longest prefix in `limits`, and above `SMALL_BYTES` elsewhere."""

    def __init__(self, app: ASGIApp, limits: Mapping[str, int]) -> None:
        self.app, self._limits = app, dict(sorted(limits.items(), key=lambda item: -len(item[0])))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        limit = self._limit(request.path)
        refusal = Refusal(status=413, message=f"too large: the limit is {limit:,} bytes", hint="send a smaller file")
        if _declared(request) > limit:
            await refuse(scope, send, refusal)
        else:
            await self._counted(scope, receive, send, limit, refusal)

    async def _counted(self, scope: Scope, receive: Receive, send: Send, limit: int, refusal: Refusal) -> None:
        seen, started = 0, False

        async def counting() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLarge
            return message

        async def watching(message: Message) -> None:
            nonlocal started
            if seen <= limit or started:
                started = True
                await send(message)

        with suppress(_TooLarge):
            await self.app(scope, counting, watching)
        if seen > limit and not started:
            await refuse(scope, send, refusal)

    def _limit(self, path: str) -> int:
        return next((limit for prefix, limit in self._limits.items() if is_under(path, (prefix,))), SMALL_BYTES)


def _declared(request: Request) -> int:
    """The length that was said; what cannot be read is left to the server, which refuses it."""
    text = request.header("content-length")
    return int(text) if text.isascii() and text.isdigit() else 0
