"""The pages come with the first browser: to import them takes longer than all the rest, and no program asks for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from edgekit.apps.web.security.refusals import Refusal, refuse
from edgekit.core.errors import EdgekitError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send


class Late:
    """An application that `make` builds in a thread when it is first asked for or `expected`. Whoever asks meanwhile waits.

    As a context it ends what it has begun. What cannot be made is said to everybody who asks, and not tried again.
    """

    def __init__(self, make: Callable[[], FastAPI]) -> None:
        self._make, self._began = make, AsyncExitStack()
        self._made: asyncio.Task[FastAPI] | None = None

    async def __aenter__(self) -> Late:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._made is not None:
            await asyncio.wait([self._made])
        await self._began.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            app = await asyncio.shield(self.expected())
        except EdgekitError as error:
            await refuse(scope, send, Refusal(status=500, message=error.message, hint=error.hint))
        else:
            await app(scope, receive, send)

    def expected(self) -> asyncio.Task[FastAPI]:
        """Begin, unless that was done; to be called where the server runs."""
        if self._made is None:
            self._made = asyncio.create_task(self._begin())
        return self._made

    async def _begin(self) -> FastAPI:
        app = await asyncio.to_thread(self._make)
        await self._began.enter_async_context(app.router.lifespan_context(app))
        return app
