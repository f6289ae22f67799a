"""`edgekit emulate`: a board in software, to prove before there is one that its packages, its artifact and its card work."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.commands._arguments import size

if TYPE_CHECKING:
    from edgekit.emulate.boards import Board, Report, Wanted

HELP = "run a board's own packages, artifact and card on an emulated board: what it can tell, and never how fast"
ALL = "all"


def configure(parser: argparse.ArgumentParser) -> None:
    """Which boards, which artifacts, held to what."""
    parser.add_argument(
        "-t", "--target", required=True, metavar="BOARD[,BOARD]", help=f"boards, as in 'edgekit devices', or {ALL!r}"
    )
    parser.add_argument(
        "--artifact", action="append", default=[], type=Path, metavar="A", help="an artifact to run (repeatable)"
    )
    parser.add_argument(
        "--app", default="", metavar="APP", help="also run this app, on --image, and with --boot as the board's service"
    )
    parser.add_argument("--image", type=Path, metavar="FILE", help="picture to ask the app about (digits: the packaged one)")
    parser.add_argument(
        "--boot", action="store_true", help="flash a card, boot it, ask the app over HTTP, cut the power, boot again"
    )
    parser.add_argument(
        "--wheelhouse", type=Path, metavar="DIR", help="the board's wheels (default: the engines' are downloaded and kept)"
    )
    parser.add_argument(
        "--machine",
        metavar="NAME",
        help="with --boot, QEMU's machine: virt (default), or raspi3b, a Raspberry Pi 3 with its SD card, for boards like it",
    )
    parser.add_argument("--memory", type=size, metavar="SIZE", help="of the board (default: the smallest it is sold with)")
    parser.add_argument(
        "--storage", type=size, metavar="SIZE", help="of its card or disk (default: the profile's smallest, or 8 GB)"
    )
    parser.add_argument("--again", action="store_true", help="ask anew what passed before with the same wheels and artifacts")
    parser.add_argument("--mirror", default="", metavar="URL", help="of Debian, with arm64 (default: mmdebstrap's own)")


def run(args: argparse.Namespace) -> int:
    """Check, and say what was found and what cannot be."""
    from edgekit.console import emit, progress_on_stderr
    from edgekit.core.errors import GateFailed, UsageError
    from edgekit.emulate.boards import CANNOT_TELL, check

    if args.machine and not args.boot:
        raise UsageError(f"only a board that boots needs a machine ({args.machine})", "--boot, or no --machine")
    boards, wanted, mirror = _boards(args), _wanted(args), args.mirror
    reports: tuple[Report, ...]
    if args.boot:
        reports = (_booted(args, boards, wanted, mirror),)
    else:
        reports = check(
            boards, wanted, wheelhouse=args.wheelhouse, mirror=mirror, again=args.again, progress=progress_on_stderr()
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


def _wanted(args: argparse.Namespace) -> Wanted:
    """The artifacts that were given, else the digit networks that come with edgekit; an app needs a picture."""
    from edgekit.artifact import read
    from edgekit.core.errors import UsageError
    from edgekit.emulate.boards import Wanted
    from edgekit.models import digits

    picture = args.image or (Path(digits.__file__).parent / "number.png" if args.app == "digits" else None)
    if args.app and picture is None and not args.boot:
        raise UsageError(f"what shall {args.app} be asked?", "--image FILE")
    return Wanted(artifacts=tuple(read(path) for path in args.artifact or digits.artifacts()), app=args.app, picture=picture)


def _booted(args: argparse.Namespace, boards: list[Board], wanted: Wanted, mirror: str) -> Report:
    """One board, its card flashed with the app. Raises `UsageError` for what a full boot needs and was not given."""
    from edgekit.console import progress_on_stderr
    from edgekit.core.errors import UsageError
    from edgekit.emulate.full import boot
    from edgekit.emulate.machines import VIRT, machine_type
    from edgekit.emulate.proofs import proof_of

    if len(boards) != 1 or len(args.artifact) != 1:
        raise UsageError("a full boot is of one board with one artifact", "--target rpi5 --app digits --artifact A")
    proof = proof_of(wanted.app, wanted.picture)
    if args.wheelhouse is None:
        extras = " ".join(f"--extra {extra}" for extra in proof.extras)
        hint = f"edgekit wheelhouse --target {boards[0].device.name} --system {boards[0].system.name} {extras} -o DIR"
        raise UsageError("a card needs all wheels of the board, edgekit's own too: --wheelhouse DIR", hint)
    machine = machine_type(args.machine) if args.machine else VIRT
    return boot(boards[0], wanted, args.wheelhouse, mirror=mirror, machine=machine, progress=progress_on_stderr())


def _result(reports: tuple[Report, ...], cannot_tell: tuple[str, ...], ok: bool) -> dict[str, Any]:
    import msgspec

    boards = [{**msgspec.to_builtins(report), "ok": report.ok} for report in reports]
    return {"kind": "emulated", "ok": ok, "boards": boards, "cannot_tell": list(cannot_tell)}


def _lines(report: Report) -> list[str]:
    lines = [f"{report.device}  {'ok' if report.ok else 'FAILED'}  emulated: {report.core}; {report.system}; {report.limits}"]
    lines += [f"  note: {note}" for note in report.notes]
    return lines + [f"  {'ok    ' if check.ok else 'FAILED'}  {check.name}: {check.said}" for check in report.checks]
