"""A fleet's server that runs, with its streams, for every test of this folder that asks for one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_fixtures import board, make_artifact, make_board, sentinel
from nats_fleet import Server, nats_server, new_server

from edgekit.commands._fleet_owner import prepared

__all__ = ["board", "make_artifact", "make_board", "sentinel", "server"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Started and prepared; its disk goes with the test."""
    made = new_server(tmp_path, nats_server())
    made.start()
    try:
        asyncio.run(prepared(made.authority))
        yield made
    finally:
        made.end()
