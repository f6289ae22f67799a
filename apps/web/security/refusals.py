"""A refusal, said to a program as JSON and to a person as a page."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.apps.web.plain import message_page
from edgekit.apps.web.security.requests import Request

if TYPE_CHECKING:
    from starlette.types import Scope, Send


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is not answered: its HTTP status, what is wrong, what to try."""

    status: int
    message: str
    hint: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=())


async def refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Answer a request, or close a socket that was not opened yet, which its client sees as 403."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.message[:120]})
        return
    body, kind = _said(Request(scope), refusal)
    fields = (("content-type", kind), ("content-length", str(len(body))), ("connection", "close"), *refusal.headers)
    headers = [(name.encode(), value.encode()) for name, value in fields]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _said(request: Request, refusal: Refusal) -> tuple[bytes, str]:
    if request.wants_page:
        return message_page(refusal.message, refusal.hint, theme=request.theme).encode(), "text/html; charset=utf-8"
    return json.dumps({"error": refusal.message, "hint": refusal.hint}).encode(), "application/json"
