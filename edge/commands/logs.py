"""`edgekit logs`: what the app on a board says."""

from __future__ import annotations

import argparse
import os

from edgekit.commands.deploy import add_board, board_of

HELP = "show the log of the app on a board"


def configure(parser: argparse.ArgumentParser) -> None:
    """Which board, how much of it."""
    parser.add_argument("host", metavar="USER@HOST", help="board, as for ssh")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    parser.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="lines to begin with (default: %(default)s)")
    add_board(parser)


def run(args: argparse.Namespace) -> int:
    """With --json, the lines; else this process becomes ssh, so that Ctrl-C ends the one and the other."""
    from edgekit.console import emit
    from edgekit.core import process
    from edgekit.core.errors import UsageError
    from edgekit.deploy.push import logs_command

    command = logs_command(board_of(args.host, args), follow=args.follow, lines=args.lines)
    if not args.json:
        os.execvp(command[0], command)
    if args.follow:
        raise UsageError("--json needs an end, --follow has none", "leave one of them out")
    emit(args, {"host": args.host, "lines": process.run(command, timeout_s=120).stdout.splitlines()}, "")
    return 0
