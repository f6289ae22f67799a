"""A client that leaves before it is answered is no error; an answer that is owed is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra [web] is not installed")

from starlette.middleware.base import BaseHTTPMiddleware
from starlette.types import Message, Receive, Scope, Send

from edgekit.apps.web.pages.departed import Departed

SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}


async def unanswered(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads all that comes and says nothing."""
    while (await receive())["type"] == "http.request" and scope.get("patient", False):
        pass


def asked(*messages: Message, patient: bool) -> None:
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    app = Departed(BaseHTTPMiddleware(unanswered, dispatch=lambda request, call_next: call_next(request)))
    asyncio.run(app({**SCOPE, "patient": patient}, receive, send))


def test_a_client_that_left_is_owed_nothing() -> None:
    asked({"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}, patient=True)


def test_a_client_that_waits_is_owed_an_answer() -> None:
    with pytest.raises(RuntimeError, match="No response returned"):
        asked({"type": "http.request", "body": b"", "more_body": False}, patient=False)
