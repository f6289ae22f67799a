"""`edgekit emulate`: a board in software, to prove before there is one that its packages, its artifact and its card work."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.commands._arguments import size

if TYPE_CHECKING:
    from edgekit.core.schema import Artifact
    from edgekit.emulate.boards import Board, Report

HELP = "run a board's own packages, artifact and card on an emulated board: what it can tell, and never how fast"
ALL = "all"


def configure(parser: argparse.ArgumentParser) -> None:
    """Which boards, which artifacts, held to what."""
    parser.add_argument(
        "-t", "--target", required=True, metavar="BOARD[,BOARD]", help=f"boards, as in 'edgekit devices', or {ALL!r}"
    )
    parser.add_argument("--artifact", action="append", default=[], type=Path, metavar="A", help="an artifact to run (repeatable)")
    parser.add_argument("--wheelhouse", type=Path, metavar="DIR", help="the board's wheels (default: made here, and kept)")
    parser.add_argument("--memory", type=size, metavar="SIZE", help="of the board (default: the smallest it is sold with)")
    parser.add_argument("--storage", type=size, metavar="SIZE", help="of its card or disk (default: the profile's smallest, or 8 GB)")
    parser.add_argument("--mirror", default="", metavar="URL", help="of Debian, with arm64")


def run(args: argparse.Namespace) -> int:
    """Check, and say what was found and what cannot be."""
    from edgekit.console import emit, progress_on_stderr
    from edgekit.core.errors import GateFailed
    from edgekit.emulate.boards import CANNOT_TELL, check
    from edgekit.emulate.rootfs import MIRROR

    reports = check(
        _boards(args), _artifacts(args), wheelhouse=args.wheelhouse, mirror=args.mirror or MIRROR, progress=progress_on_stderr()
    )
    ok = all(report.ok for report in reports)
    lines = [line for report in reports for line in _lines(report)]
    lines += ["what this cannot tell:", *(f"  {each}" for each in CANNOT_TELL)]
    emit(args, _result(reports, CANNOT_TELL, ok), "\n".join(lines))
    return 0 if ok else GateFailed.exit_code


def _boards(args: argparse.Namespace) -> list[Board]:
    from edgekit.core import profiles
    from edgekit.emulate.boards import board_of, emulatable

    if args.target == ALL:
        devices = list(emulatable(profiles.devices()))
    else:
        devices = [profiles.find(name) for name in dict.fromkeys(args.target.split(","))]
    return [board_of(device, memory_bytes=args.memory, storage_bytes=args.storage) for device in devices]


def _artifacts(args: argparse.Namespace) -> list[Artifact]:
    """Those that were given, else the digit networks that come with edgekit."""
    from edgekit.artifact import read
    from edgekit.models import digits

    return [read(path) for path in args.artifact or digits.artifacts()]


def _result(reports: tuple[Report, ...], cannot_tell: tuple[str, ...], ok: bool) -> dict[str, Any]:
    import msgspec

    boards = [{**msgspec.to_builtins(report), "ok": report.ok} for report in reports]
    return {"kind": "emulated", "ok": ok, "boards": boards, "cannot_tell": list(cannot_tell)}


def _lines(report: Report) -> list[str]:
    lines = [f"{report.device}  {'ok' if report.ok else 'FAILED'}  emulated: {report.core}; {report.system}; {report.limits}"]
    lines += [f"  note: {note}" for note in report.notes]
    return lines + [f"  {'ok    ' if check.ok else 'FAILED'}  {check.name}: {check.said}" for check in report.checks]
