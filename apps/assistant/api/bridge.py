"""From a blocking iterator in a thread to an asynchronous one, which stops the first when nobody listens any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, closing, contextmanager
from typing import Any, TypeVar

from edgekit.apps.assistant.api.errors import Refused

T = TypeVar("T")
_END = object()


class Door:
    """How many requests may be inside at once; the engines serve one after the other."""

    def __init__(self, places: int = 16) -> None:
        self._places = places
        self.inside = 0

    def enter(self) -> int:
        """Come in; how many were there before. Raises `Refused` (429) when it is full."""
        if self.inside >= self._places:
            raise Refused(
                f"{self.inside} requests wait already; {self._places} are taken", status=429, code="rate_limit_exceeded"
            )
        self.inside += 1
        return self.inside - 1

    def leave(self) -> None:
        """Go out."""
        self.inside -= 1

    @contextmanager
    def place(self) -> Iterator[None]:
        """Inside for as long as the block takes. Raises `Refused` (429) when it is full."""
        self.enter()
        try:
            yield
        finally:
            self.leave()


async def events(
    make: Callable[[threading.Event], Generator[T, None, None]],
    done: Callable[[], None],
    cancel: threading.Event | None = None,
) -> AsyncGenerator[T, None]:
    """What `make(cancel)` yields, from a thread of its own; `done` is called when the thread ended.

    Closing this sets `cancel`, and nothing more is asked of the iterator; who sets it without closing gets the end as well.
    """
    loop, cancel, unheard = asyncio.get_running_loop(), cancel or threading.Event(), threading.Event()
    queue: asyncio.Queue[Any] = asyncio.Queue()

    def put(item: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def work() -> None:
        try:
            with closing(make(cancel)) as answer:
                for event in answer:
                    put(event)
                    if unheard.is_set():
                        break
        except BaseException as exc:  # whatever it is, it is raised where the events are awaited
            put(exc)
        finally:
            put(_END)
            if not loop.is_closed():
                loop.call_soon_threadsafe(done)

    threading.Thread(target=work, name="answer", daemon=True).start()
    try:
        while (item := await queue.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        unheard.set()
        cancel.set()


async def while_connected(receive: Callable[[], Awaitable[Any]], stream: AsyncGenerator[T, None]) -> list[T] | None:
    """All that `stream` yields; None as soon as the client has gone, and the stream is closed."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def collected() -> list[T]:
        async with aclosing(stream):
            return [event async for event in stream]

    collecting, leaving = asyncio.ensure_future(collected()), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({collecting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return collecting.result() if collecting.done() else None
    finally:
        for task in (collecting, leaving):
            task.cancel()
        await asyncio.gather(collecting, leaving, return_exceptions=True)
