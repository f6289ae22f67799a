"""Boards for deploying to."""

from board_fixtures import board, make_artifact, make_board, sentinel, whole_board

__all__ = ["board", "make_artifact", "make_board", "sentinel", "whole_board"]
