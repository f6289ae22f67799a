"""`edgekit wheelhouse`: the wheels a board needs, downloaded here, for installing there without a network."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "download exactly the wheels that a board's Python and C library need, with their hashes"


def configure(parser: argparse.ArgumentParser) -> None:
    """Which board, which packages, from where."""
    parser.add_argument("-t", "--target", required=True, metavar="BOARD", help="board, as in 'edgekit devices'")
    parser.add_argument(
        "--system", default="", metavar="NAME", help="its operating system: bookworm, trixie, jammy, noble, ..."
    )
    parser.add_argument("--extra", action="append", default=[], metavar="NAME", help="an extra of edgekit: litert, onnx, ...")
    parser.add_argument("--package", action="append", default=[], metavar="REQUIREMENT", help="one more package, as for pip")
    parser.add_argument("--edgekit", type=Path, metavar="WHEEL", help="edgekit's own wheel (default: built from this checkout)")
    parser.add_argument("--find-links", action="append", default=[], metavar="DIR", help="also take wheels from here")
    parser.add_argument("--no-index", action="store_true", help="take wheels from --find-links alone")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder to fill")
    parser.add_argument("--force", action="store_true", help="replace the folder")


def run(args: argparse.Namespace) -> int:
    """Download, and say what there is."""
    import msgspec

    from edgekit.console import emit, progress_on_stderr
    from edgekit.core import profiles
    from edgekit.flash.wheelhouse import Where, make

    made = make(
        profiles.find(args.target),
        args.output,
        extras=args.extra,
        packages=args.package,
        system=args.system,
        edgekit_wheel=args.edgekit,
        where=Where(find_links=tuple(args.find_links), no_index=args.no_index),
        replace=args.force,
        progress=progress_on_stderr(),
    )
    size = sum(wheel.bytes for wheel in made.wheels)
    lines = [f"{wheel.bytes / 1e6:8.2f} MB  {wheel.name}" for wheel in made.wheels]
    lines.append(f"{size / 1e6:8.2f} MB  in {len(made.wheels)} wheels for {made.system}, Python {made.python}, {made.machine}")
    if made.environment:
        lines.append(
            f"{made.environment.bytes / 1e6:8.2f} MB  {made.environment.name}: the same, unpacked, as a card carries it"
        )
    emit(args, {"path": str(args.output), **msgspec.to_builtins(made)}, "\n".join(lines))
    return 0
