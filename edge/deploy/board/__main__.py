"""The board's side: `python -m edgekit.deploy.board VERB --root DIR`, an order as JSON on standard input, an answer on standard output.

Every verb may be cut off at any point and asked again. A switch is written down before it is made; whoever comes next (the same
operator, another, or the board's own start) settles it: the new release has shown that it works, or the old one runs again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from edgekit.core.errors import DeviceError, EdgekitError
from edgekit.deploy.board.condition import status
from edgekit.deploy.board.layout import Layout
from edgekit.deploy.board.receiving import offer, put
from edgekit.deploy.board.switching import deploy, rollback, settle
from edgekit.deploy.nouns import Answer, Going, Part, Proposal


def main(arguments: list[str] | None = None) -> int:
    """Carry out one verb under the board's lock. An `EdgekitError` is an answer, too: `{"error", "hint"}` and its exit code."""
    parser = argparse.ArgumentParser(prog="python -m edgekit.deploy.board")
    parser.add_argument("verb", choices=("offer", "put", "deploy", "rollback", "settle", "status"))
    parser.add_argument("--root", type=Path, default=Layout().root)
    parser.add_argument("--sha256", default="")
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--offset", type=int, default=0)
    args = parser.parse_args(arguments)
    try:
        answer = _carried_out(args, Layout(args.root))
    except EdgekitError as exc:
        answer, code = {"error": exc.message, "hint": exc.hint}, exc.exit_code
    except PermissionError as exc:
        answer, code = {"error": f"the board could not do it: {exc}", "hint": "--sudo, or as root"}, DeviceError.exit_code
    except (OSError, msgspec.DecodeError) as exc:
        answer, code = {"error": f"the board could not do it: {exc}", "hint": "edgekit status"}, DeviceError.exit_code
    else:
        code = 0
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    return code


def _carried_out(args: argparse.Namespace, layout: Layout) -> Any:
    if args.verb == "status":
        return status(layout)
    with layout.locked():
        if args.verb == "put":
            put(layout, Part(name=args.sha256, sha256=args.sha256, bytes=args.bytes), args.offset, sys.stdin.buffer)
            return Answer(ok=True, message="stored")
        if args.verb == "settle":
            return settle(layout)
        order = sys.stdin.buffer.read()
        if args.verb == "rollback":
            return rollback(layout, msgspec.json.decode(order, type=Going).to)
        proposal = msgspec.json.decode(order, type=Proposal)
        return offer(layout, proposal) if args.verb == "offer" else deploy(layout, proposal)


if __name__ == "__main__":
    raise SystemExit(main())
