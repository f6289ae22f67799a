"""`edgekit rollback`: a board goes back to the release before."""

from __future__ import annotations

import argparse

from edgekit.commands.deploy import add_board, board_of

HELP = "take a board back to the release before, or to one by name"


def configure(parser: argparse.ArgumentParser) -> None:
    """Which board, and how far."""
    parser.add_argument("host", metavar="USER@HOST", help="board, as for ssh")
    parser.add_argument("--to", default="", metavar="RELEASE", help="a release that 'edgekit status' lists")
    add_board(parser)


def run(args: argparse.Namespace) -> int:
    """0 when the older release works, 4 when it does not."""
    import msgspec

    from edgekit.console import emit
    from edgekit.core.errors import GateFailed
    from edgekit.deploy.push import rollback

    answer = rollback(board_of(args.host, args), args.to)
    emit(
        args,
        {"host": args.host, **msgspec.to_builtins(answer)},
        f"{args.host}  {answer.release or 'nothing'}  {answer.message}",
    )
    return 0 if answer.ok else GateFailed.exit_code
