"""`edgekit deploy`: a new artifact on running boards, taken back where it does not work."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.deploy.nouns import Release
    from edgekit.deploy.push import Board, Outcome

HELP = "put an artifact on running boards over ssh; each proves it, switches in one step, and goes back when it does not work"


def configure(parser: argparse.ArgumentParser) -> None:
    """Which boards, which release, and how it shows that it works."""
    parser.add_argument("hosts", nargs="+", metavar="USER@HOST", help="boards, as for ssh; all at once")
    parser.add_argument("--app", required=True, metavar="APP", help="app to run")
    parser.add_argument("--artifact", required=True, type=Path, metavar="A", help="its artifact")
    parser.add_argument("--app-argument", metavar="ARG", action="append", default=[], help="one more argument for the app")
    parser.add_argument("--health", metavar="URL", default="", help="address on the board that must answer 200")
    parser.add_argument("--deadline", type=float, default=90.0, metavar="S", help="it must work by then (default: %(default)g)")
    parser.add_argument("--settle", type=float, default=5.0, metavar="S", help="and stay up this long (default: %(default)g)")
    parser.add_argument("--any-board", action="store_true", help="deploy also to boards the artifact was not made for")
    add_board(parser)


def add_board(parser: argparse.ArgumentParser) -> None:
    """Where edgekit lies on the board, and whether root is needed to reach it."""
    parser.add_argument("--root", type=Path, default=Path("/opt/edgekit"), metavar="DIR", help="edgekit's folder there")
    parser.add_argument("--sudo", action="store_true", help="act as root on the board, through sudo without a password")


def run(args: argparse.Namespace) -> int:
    """Deploy to all; 0 when every board runs it, else the gravest board's exit code."""
    from edgekit.artifact import read
    from edgekit.console import emit, progress_on_stderr
    from edgekit.deploy.push import deploy_to_all

    boards = [board_of(host, args) for host in args.hosts]
    outcomes = deploy_to_all(
        boards, read(args.artifact), _release(args), any_board=args.any_board, progress=progress_on_stderr()
    )
    emit(args, {"boards": [_as_json(one) for one in outcomes]}, "\n".join(map(_line, outcomes)))
    return max(map(_code, outcomes))


def board_of(host: str, args: argparse.Namespace) -> Board:
    """The board that `host` and the options name."""
    from edgekit.deploy.push import Board

    return Board(host=host, root=args.root, sudo=args.sudo)


def _release(args: argparse.Namespace) -> Release:
    from edgekit.artifact import read
    from edgekit.deploy.nouns import Health, Release

    health = Health(url=args.health, settle_s=args.settle, deadline_s=args.deadline)
    return Release(app=args.app, artifact=read(args.artifact).sha256, arguments=tuple(args.app_argument), health=health)


def _code(outcome: Outcome) -> int:
    from edgekit.core.errors import GateFailed

    if outcome.error is not None:
        return outcome.error.exit_code
    return 0 if outcome.ok else GateFailed.exit_code


def _as_json(outcome: Outcome) -> dict[str, Any]:
    import msgspec

    said = msgspec.to_builtins(outcome.answer) if outcome.answer else {"ok": False}
    error = {"error": outcome.error.message, "hint": outcome.error.hint} if outcome.error else {}
    return {"host": outcome.host, "sent_bytes": outcome.sent_bytes, **said, **error}


def _line(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"{outcome.host}  FAILED  {outcome.error.message}\n  try: {outcome.error.hint}"
    answer = outcome.answer
    if answer is None or not answer.ok:
        return f"{outcome.host}  TAKEN BACK  {answer.message if answer else ''}"
    return f"{outcome.host}  {answer.release}  {answer.message}  ({outcome.sent_bytes} bytes sent)"
