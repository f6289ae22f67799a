"""Whoever leaves before the answer needs none: Starlette calls that an error of the application's, with a page of traceback in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNANSWERED = "No response returned."
"""What Starlette's middleware says of a request that ended without an answer."""


class Departed:
    """Lets a request end quietly when its client has left; an answer that is owed to somebody stays an error."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = False

        async def watching() -> Message:
            nonlocal left
            message = await receive()
            left = left or message["type"] == "http.disconnect"
            return message

        try:
            await self.app(scope, watching, send)
        except RuntimeError as exc:
            if not left or str(exc) != UNANSWERED:
                raise
