"""What commands print: results to stdout (text, or one JSON object with --json), progress to stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from edgekit.core.progress import Event, Progress


def emit(args: argparse.Namespace, result: Mapping[str, Any], text: str) -> None:
    """Print the result: the JSON object when `--json` was given, else the text."""
    if args.json:
        json.dump(result, sys.stdout, ensure_ascii=False, allow_nan=False)
        sys.stdout.write("\n")
    elif text:
        sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Say something to the person, not to the program that reads the result."""
    print(text, file=sys.stderr, flush=True)


def progress_on_stderr() -> Progress:
    """A bar on a terminal, one line per stage otherwise."""
    return _Bar() if sys.stderr.isatty() else _Lines()


class _Bar:
    """Redraws one line per stage; the line is kept when the stage is done."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, event: Event) -> None:
        if self._stage and event.stage != self._stage:
            sys.stderr.write("\n")
        self._stage = event.stage
        sys.stderr.write(f"\r\x1b[K{event.stage:<24}{_drawn(event)}")
        if event.total and event.done >= event.total:
            sys.stderr.write("\n")
            self._stage = ""
        sys.stderr.flush()


class _Lines:
    """Says each stage once."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, event: Event) -> None:
        if event.stage != self._stage:
            self._stage = event.stage
            print(event.stage, file=sys.stderr, flush=True)


def _drawn(event: Event) -> str:
    """`[#####.....] 5/10`, or nothing when the total is unknown."""
    if not event.total:
        return ""
    filled = round(24 * min(event.done, event.total) / event.total)
    return f"[{'#' * filled}{'.' * (24 - filled)}] {event.done}/{event.total}"
