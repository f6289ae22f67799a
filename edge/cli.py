"""The command line: finds the subcommands by file name, runs one, turns errors into sentences and exit codes."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from edgekit import __version__, commands
from edgekit.commands._arguments import add_general
from edgekit.console import ReaderGone, note
from edgekit.core.errors import EdgekitError
from edgekit.core.interrupts import answer_sigterm

EXIT_INTERRUPTED = 130
TAGLINE = "Convert a trained model once, prove it, and run it on any edge device."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0 ok, 1 expected error, 2 usage, 3 the hardware said no, 4 a gate failed."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser_for(arguments).parse_args(arguments)
    answer_sigterm()
    logging.basicConfig(level=_log_level(args.verbose), format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        return int(args.run(args))
    except EdgekitError as error:
        if args.verbose > 1:
            raise
        if args.json:
            print(json.dumps({"error": error.message, "hint": error.hint}, ensure_ascii=False))
        note(_sentence(error))
        return error.exit_code
    except KeyboardInterrupt as stop:
        note(f"stopped; {str(stop) or 'nothing half-written was left behind'}")
        return EXIT_INTERRUPTED
    except ReaderGone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to flush goes nowhere
        return 0


def _parser_for(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser with the command that comes first, alone: no other has to be imported for it. With all of them for anything else,
    such as --help, which shows no command's options: they are left out where no command is named."""
    names = command_names()
    first = tuple(name for name in names if arguments[:1] == [name])
    return build_parser(first or names, options=not frozenset(names).isdisjoint(arguments))


def build_parser(names: Sequence[str] = (), *, options: bool = True) -> argparse.ArgumentParser:
    """The parser with those subcommands and their options, else with every one that has a file in `edgekit.commands`."""
    parser = argparse.ArgumentParser(prog="edgekit", description=TAGLINE)
    parser.add_argument("--version", action="version", version=f"edgekit {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in names or command_names():
        module = import_module(f"edgekit.commands.{name}")
        sub = subparsers.add_parser(name, help=module.HELP, description=module.HELP)
        if options:
            add_general(sub)
            module.configure(sub)
        sub.set_defaults(run=module.run)
    return parser


def command_names() -> tuple[str, ...]:
    """Names of all subcommands, in alphabetical order."""
    # Not by pkgutil, which imports 'inspect' for it: every command starts here.
    files = (file for folder in commands.__path__ for file in Path(folder).iterdir())
    return tuple(sorted(file.stem for file in files if file.suffix == ".py" and not file.stem.startswith("_")))


def _log_level(verbose: int) -> int:
    return {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)


def _sentence(error: EdgekitError) -> str:
    return f"error: {error.message}" + (f"\n  try: {error.hint}" if error.hint else "")
