"""`edgekit demo`: everything once, on what is in the box."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.demo.result import Demo, Made

HELP = "convert, verify, time and run the shipped digit network for four kinds of boards; write one page"
OUTPUT = Path("edgekit-demo")
GATE_FAILED = 4


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT, metavar="DIR", help=f"where to write (default: {OUTPUT})")


def run(args: argparse.Namespace) -> int:
    """Run the demo, print what was found. Exit 4 when a step failed; the page shows which and why."""
    import msgspec

    from edgekit import console
    from edgekit.demo.run import demo

    found = demo(args.output, progress=console.progress_on_stderr())
    console.emit(args, msgspec.to_builtins(found), _text(found))
    return GATE_FAILED if found.failed else 0


def _text(found: Demo) -> str:
    lines = [_line(one) for one in found.artifacts]
    if found.picture:
        lines.append(f"the {found.picture.target} artifact read {found.picture.read} in a picture of {found.picture.drawn}")
    lines += [f"failed: {one.step}: {one.error}" + (f"\n  try: {one.hint}" if one.hint else "") for one in found.failed]
    return "\n".join([*lines, f"the page: {found.page}"])


def _line(made: Made) -> str:
    from edgekit.demo.result import agreement

    speed = f"{made.timing.median_ms:.3f} ms here" if made.timing else "not timed"
    return f"{made.target:<7} {made.precision:<5} {made.format:<9} {made.bytes / 1000:>6.0f} kB  {agreement(made.parity):<24} {speed}"
