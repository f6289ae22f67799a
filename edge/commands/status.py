"""`edgekit status`: what runs on a board."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgekit.commands.deploy import add_board, board_of

if TYPE_CHECKING:
    from edgekit.deploy.nouns import Status

HELP = "show what runs on a board, what it could go back to, and how much room it has"


def configure(parser: argparse.ArgumentParser) -> None:
    """Which board."""
    parser.add_argument("host", metavar="USER@HOST", help="board, as for ssh")
    add_board(parser)


def run(args: argparse.Namespace) -> int:
    """Ask, and show."""
    import msgspec

    from edgekit.console import emit
    from edgekit.deploy.push import status

    found = status(board_of(args.host, args))
    emit(args, {"host": args.host, **msgspec.to_builtins(found)}, _text(args.host, found))
    return 0


def _text(host: str, found: Status) -> str:
    lines = [f"{host}  {found.device or 'a board no profile knows'}"]
    if found.release:
        state = "active" if found.active else "NOT RUNNING"
        lines.append(f"  runs       {found.app} {found.artifact_name}, release {found.release}, {state}")
        lines.append(f"  signed by  {found.signed_by or 'nobody'}")
    else:
        lines.append("  runs       nothing")
    others = [name for name in found.releases if name != found.release]
    lines.append(f"  also here  {', '.join(others) or 'no other release'}")
    lines.append(f"  room       {found.free_bytes / 1e9:.1f} GB free on its disk, {found.memory_bytes / 1e9:.1f} GB of memory")
    lines.append(f"  edgekit    {found.edgekit} on Python {found.python}")
    return "\n".join([*lines, *(f"  PROBLEM    {problem}" for problem in found.problems)])
