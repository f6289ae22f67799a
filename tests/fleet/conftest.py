"""A fleet's server that runs, with its streams, for every test of this folder that asks for one; and a board."""

from __future__ import annotations

from board_fixtures import board, make_artifact, make_board, sentinel
from nats_fleet import server

__all__ = ["board", "make_artifact", "make_board", "sentinel", "server"]
