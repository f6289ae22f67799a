"""`edgekit bench`: measure artifacts, report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import console

if TYPE_CHECKING:
    from edgekit.benchmark.report import Report

HELP = "measure the latency and memory of artifacts, with bounds and conditions"
FORMS = (".html", ".json", ".md")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `edgekit bench`."""
    parser.add_argument("artifacts", nargs="+", type=Path, metavar="ARTIFACT", help="folder that 'edgekit convert' wrote")
    parser.add_argument(
        "--scenario",
        default="single-stream",
        metavar="NAME",
        help="single-stream (default), multi-stream, offline, server or periodic",
    )
    parser.add_argument("--rate", type=float, metavar="HZ", help="inferences per second of a periodic run (30) or of a server")
    parser.add_argument("--latency-bound", type=float, metavar="MS", help="server: search the highest rate with p99 below this")
    parser.add_argument("--duration", type=float, metavar="S", help="timed seconds per process (2)")
    parser.add_argument(
        "--warm-up", type=float, metavar="S", help="longest warm-up (1); above 10 the temperature must settle, too"
    )
    parser.add_argument("--prompt-tokens", type=int, metavar="N", help="language models: tokens of each prompt (512)")
    parser.add_argument("--answer-tokens", type=int, metavar="N", help="language models: tokens of each answer (128)")
    parser.add_argument("--restarts", type=int, metavar="N", help="fresh processes per artifact (3)")
    parser.add_argument("--on", default="", metavar="USER@HOST", help="measure on this board over ssh; edgekit must be there")
    parser.add_argument("--python", default="python3", metavar="PATH", help="the board's Python that has edgekit (python3)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads of the engine (every core)")
    parser.add_argument("--runtime", default="auto", metavar="NAME", help="engine to use (the artifact's own)")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="report.html, .json or .md; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, write the reports, print the overview."""
    from edgekit.benchmark import DURATION_S, RESTARTS, bench
    from edgekit.benchmark.rendering.text import terminal
    from edgekit.benchmark.report import as_json, write

    _check_forms(args.output)
    report = bench(
        args.artifacts,
        scenario=args.scenario,
        duration_s=DURATION_S if args.duration is None else args.duration,
        rate_hz=args.rate,
        bound_ms=args.latency_bound,
        warmup_s=args.warm_up,
        prompt_tokens=args.prompt_tokens,
        answer_tokens=args.answer_tokens,
        runtime=args.runtime,
        threads=args.threads,
        restarts=RESTARTS if args.restarts is None else args.restarts,
        on=args.on,
        python=args.python,
        progress=console.progress_on_stderr(),
    )
    for file in args.output:
        write(file, _rendered(report, file))
        console.note(f"wrote {file}")
    console.emit(args, as_json(report), terminal(report))
    return 0


def _check_forms(files: list[Path]) -> None:
    from edgekit.core.errors import UsageError

    for file in files:
        if file.suffix.lower() not in FORMS:
            raise UsageError(f"a report cannot be written as {file.name!r}", f"end the name in one of {', '.join(FORMS)}")


def _rendered(report: Report, file: Path) -> str:
    """The report in the form that the file's name asks for."""
    from edgekit.benchmark.rendering.page import page
    from edgekit.benchmark.rendering.text import markdown
    from edgekit.benchmark.report import encode

    return {".html": page, ".md": markdown, ".json": encode}[file.suffix.lower()](report)
