"""Live pictures: the latest one for everybody, none for nobody, and nothing that piles up."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edgekit.apps.web import live
from edgekit.apps.web.live import Broadcast, multipart
from edgekit.core.errors import InputError


def test_somebody_who_is_slow_gets_the_latest_picture_and_not_a_queue() -> None:
    async def watch() -> list[bytes]:
        broadcast = Broadcast()
        broadcast.show(b"0")
        frames = broadcast.frames()
        seen = [await anext(frames)]
        for number in range(1, 10):
            broadcast.show(b"%d" % number)
        seen.append(await anext(frames))
        await frames.aclose()
        return seen

    assert asyncio.run(watch()) == [b"0", b"9"]


def test_nobody_watches_before_and_after() -> None:
    async def watch() -> list[bool]:
        broadcast = Broadcast()
        states = [broadcast.is_watched]
        broadcast.show(b"x")
        frames = broadcast.frames()
        await anext(frames)
        states.append(broadcast.is_watched)
        await frames.aclose()
        return [*states, broadcast.is_watched]

    assert asyncio.run(watch()) == [False, True, False]


def test_pictures_come_from_another_thread() -> None:
    async def watch() -> bytes:
        broadcast = Broadcast()
        frames = broadcast.frames()
        waiting = asyncio.ensure_future(anext(frames))
        await asyncio.sleep(0)
        thread = threading.Thread(target=broadcast.show, args=(b"from afar",))
        thread.start()
        got = await asyncio.wait_for(waiting, 20)
        thread.join()
        await frames.aclose()
        return got

    assert asyncio.run(watch()) == b"from afar"


def test_only_so_many_may_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "WATCHERS", 1)

    async def watch() -> None:
        broadcast = Broadcast()
        broadcast.show(b"x")
        first, second = broadcast.frames(), broadcast.frames()
        await anext(first)
        try:
            with pytest.raises(InputError, match="1 watch already"):
                await anext(second)
        finally:
            await first.aclose()

    asyncio.run(watch())


def test_the_stream_ends_when_the_session_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ALLOWED_EVERY_S", -1.0)

    async def watch() -> list[bytes]:
        broadcast = Broadcast()
        broadcast.show(b"x")
        return [piece async for piece in multipart(broadcast, lambda: False)]

    assert b"x" not in asyncio.run(watch())


def test_the_head_of_the_next_picture_goes_out_with_each() -> None:
    """Chromium shows a picture only when it has read that."""

    async def watch() -> list[bytes]:
        broadcast = Broadcast()
        broadcast.show(b"x")
        pieces = multipart(broadcast, lambda: True)
        seen = [await anext(pieces), await anext(pieces)]
        await pieces.aclose()
        return seen

    head = b"--edgekit-frame\r\nContent-Type: image/jpeg\r\n\r\n"
    assert asyncio.run(watch()) == [head, b"x\r\n" + head]


def test_who_comes_when_nobody_watched_for_long_has_not_waited_for_long() -> None:
    """Nothing is made while nobody watches: an old picture is no sign of a camera that hangs."""
    now = [100.0]
    broadcast = Broadcast(now=lambda: now[0])

    async def watch() -> list[float | None]:
        quiet = [broadcast.quiet_s]
        broadcast.show(b"x")
        now[0] += 7
        quiet.append(broadcast.quiet_s)
        first, second = broadcast.frames(), broadcast.frames()
        await anext(first)
        now[0] += 2
        await anext(second)
        quiet.append(broadcast.quiet_s)
        broadcast.show(b"y")
        quiet.append(broadcast.quiet_s)
        await first.aclose()
        await second.aclose()
        return quiet

    assert asyncio.run(watch()) == [None, 7, 2, 0]


def test_a_single_picture_is_a_new_one_or_after_a_while_the_latest() -> None:
    async def watch() -> list[bytes | None]:
        broadcast = Broadcast()
        seen = [await broadcast.next_within(0.01)]
        broadcast.show(b"old")
        waiting = asyncio.ensure_future(broadcast.next_within(20))
        await asyncio.sleep(0)
        assert broadcast.is_watched
        broadcast.show(b"new")
        seen += [await waiting, await broadcast.next_within(0.01)]
        assert not broadcast.is_watched
        return seen

    assert asyncio.run(watch()) == [None, b"new", b"new"]
