"""A large file from the fleet's store to a board: in pieces, on from where it broke off, and only what has its hash."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from nats_fleet import Server, enrolled

from edgekit.core.errors import DeviceError, NotFound
from edgekit.core.files import sha256_file
from edgekit.deploy.board.layout import Layout
from edgekit.deploy.nouns import Part
from edgekit.fleet.agent.download import download
from edgekit.fleet.agent.spool import Spool
from edgekit.fleet.board.place import Board
from edgekit.fleet.wire.bus import connected
from edgekit.fleet.wire.values import Unreachable

SIZE = 5_000_011


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Board):
    """A board that counts what arrives, and does something when so much has."""

    arrived: list[int]
    meanwhile: Callable[[int], None] = lambda _: None

    def append(self, part: Part, data: bytes) -> None:
        Board.append(self, part, data)
        self.arrived.append(len(data))
        self.meanwhile(sum(self.arrived))


@pytest.fixture
def part(tmp_path: Path) -> Part:
    file = tmp_path / "model"
    file.write_bytes(os.urandom(SIZE))
    return Part(name=file.name, sha256=sha256_file(file), bytes=SIZE)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "board")
    made.blobs.mkdir(parents=True)
    return made


def test_a_download_that_broke_off_with_the_server_goes_on_where_it_was(
    server: Server, part: Part, layout: Layout, tmp_path: Path
) -> None:
    up = [True]

    def cut(arrived: int) -> None:
        if arrived > SIZE // 2 and up:
            up.clear()
            server.stop(kill=True)

    async def story() -> None:
        access = (await enrolled(server, "cam-1"))["cam-1"]
        async with connected(server.access("ada")) as ada:
            await ada.upload(tmp_path / part.name, part.sha256)
        spool, first, second = Spool(tmp_path / "fleet.db"), Watched(layout=layout, arrived=[], meanwhile=cut), []
        async with connected(access) as bus:
            with pytest.raises(Unreachable):
                await download(bus, first, spool, part, 0)
        assert SIZE // 2 < sum(first.arrived) < SIZE and not layout.blob(part.sha256).exists()
        await asyncio.to_thread(server.start)
        async with connected(access) as bus:
            await download(bus, Watched(layout=layout, arrived=second), spool, part, layout.have(part))
        spool.close()
        assert len(first.arrived) > 5, "it comes in pieces"
        assert sum(first.arrived) + sum(second) == SIZE, "and none of them twice"
        assert sha256_file(layout.blob(part.sha256)) == part.sha256

    asyncio.run(story())


def test_what_does_not_have_its_hash_is_dropped(server: Server, part: Part, layout: Layout, tmp_path: Path) -> None:
    """Somebody with an operator's credential put something else under its name."""

    async def story() -> None:
        (tmp_path / "other").write_bytes(os.urandom(SIZE))
        access = (await enrolled(server, "cam-1"))["cam-1"]
        async with connected(server.access("ada")) as ada, connected(access) as bus:
            with pytest.raises(NotFound, match="has no file"):
                await download(bus, Board(layout=layout), Spool(":memory:"), part, 0)
            await ada.upload(tmp_path / "other", part.sha256)
            with pytest.raises(DeviceError):
                await download(bus, Board(layout=layout), Spool(":memory:"), part, 0)
            short = Part(name=part.name, sha256=part.sha256, bytes=SIZE - 1)
            with pytest.raises(DeviceError, match=f"has {SIZE} bytes, the order says {SIZE - 1}"):
                await download(bus, Board(layout=layout), Spool(":memory:"), short, 0)
        assert not layout.blob(part.sha256).exists() and not layout.partial(part.sha256).exists()

    asyncio.run(story())
