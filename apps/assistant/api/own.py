"""The assistant's own interface: documents, conversations, the log of queries."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest

from edgekit.apps.assistant.analytics import Log
from edgekit.apps.assistant.conversations import Conversations
from edgekit.apps.assistant.library import Library
from edgekit.apps.assistant.passages import passages
from edgekit.core.errors import InputError, NotFound

DAY_S = 86_400.0


def documents(library: Library | None) -> APIRouter:
    """The routes, for the prefix `/api/documents`: reading for every user, changing for admins."""
    routes = APIRouter(tags=["documents"])

    def there() -> Library:
        if library is None:
            raise NotFound("this server was started without documents", "edgekit run assistant --documents DIR")
        return library

    @routes.get("", summary="The documents, how far reading them is, and what is refused")
    def listed() -> dict[str, Any]:
        found = there()
        return {
            "documents": [msgspec.to_builtins(one) for one in found.documents()],
            "refused": [{"path": path, "reason": reason} for path, reason in sorted(found.refused().items())],
            "indexing": asdict(found.state),
        }

    @routes.get("/search", summary="The passages nearest to a question")
    def search(q: str, top: int = 5) -> dict[str, Any]:
        return {"passages": passages(there(), q, min(max(top, 1), 50))}

    @routes.get("/text", summary="A document's text, which the offsets of citations count in")
    def text(path: str) -> dict[str, Any]:
        return {"path": path, "text": there().text_of(path)}

    @routes.put("/file/{name:path}", summary="Add a document: the body is the file")
    async def add(name: str, request: HttpRequest) -> dict[str, Any]:
        return {"path": await run_in_threadpool(there().add, name, await request.body())}

    @routes.delete("/file/{name:path}", summary="Delete a document")
    def remove(name: str) -> dict[str, Any]:
        there().remove(name)
        return {"deleted": name}

    @routes.post("/update", summary="Look for new and changed files")
    def update() -> dict[str, Any]:
        there().update_soon()
        return {"started": True}

    return routes


def conversations(kept: Conversations) -> APIRouter:
    """The routes, for the prefix `/api/conversations`: every user has their own."""
    routes = APIRouter(tags=["conversations"])

    @routes.get("", summary="My conversations, the last used first")
    def listed(request: HttpRequest) -> dict[str, Any]:
        return {"conversations": [asdict(one) for one in kept.list(_owner(request))]}

    @routes.get("/search", summary="Messages that have all the words")
    def search(request: HttpRequest, q: str) -> dict[str, Any]:
        return {"matches": [asdict(one) for one in kept.search(_owner(request), q)]}

    @routes.get("/export", summary="All my conversations, whole")
    def export(request: HttpRequest) -> dict[str, Any]:
        return kept.export(_owner(request))

    @routes.get("/{name}", summary="One conversation, whole")
    def one(request: HttpRequest, name: str) -> dict[str, Any]:
        return kept.export(_owner(request), name)

    @routes.delete("/{name}", summary="Delete a conversation")
    def delete(request: HttpRequest, name: str) -> dict[str, Any]:
        kept.delete(name, _owner(request))
        return {"deleted": name}

    @routes.delete("", summary="Delete all my conversations")
    def delete_all(request: HttpRequest) -> dict[str, Any]:
        return {"deleted": kept.delete_all(_owner(request))}

    return routes


def analytics(log: Log) -> APIRouter:
    """The routes, for the prefix `/api/analytics`."""
    routes = APIRouter(tags=["analytics"])

    @routes.get("", summary="Sums and means of the last days, the same per step, and the last queries")
    def shown(days: float = 7.0, steps: int = 48) -> dict[str, Any]:
        if not 0 < days <= 3660 or not 1 <= steps <= 1000:
            raise InputError("days is 0 to 3660 and steps 1 to 1000")
        since = time.time() - days * DAY_S
        series = log.series(since, days * DAY_S / steps)
        return {"on": log.is_on, "summary": log.summary(since), "series": series, "recent": log.recent()}

    @routes.delete("", summary="Forget all queries")
    def forget() -> dict[str, Any]:
        log.forget()
        return {"deleted": True}

    return routes


def _owner(request: HttpRequest) -> str:
    """Who is asking: the shell has put them there."""
    return str(request.scope["state"]["user"].name)
