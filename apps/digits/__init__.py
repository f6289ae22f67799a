"""`edgekit run digits`: reads handwritten digits, in a picture or on a page to draw on."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.apps.base import Answer, RunOptions
from edgekit.apps.digits.annotate import UNSURE_BELOW, annotated
from edgekit.apps.digits.desk import Desk
from edgekit.apps.digits.networks import Network, open_others, open_session
from edgekit.apps.digits.reader import Reading, read_digits
from edgekit.apps.web import options as web_options
from edgekit.core.errors import UsageError
from edgekit.core.optional import need
from edgekit.tasks.pictures.images import read_image, write_png

if TYPE_CHECKING:
    from edgekit.apps.digits.camera import DigitsCamera

HELP = "read handwritten digits: in a picture (--image), before a camera (--source), or drawn on a page that is served here"


def configure(parser: argparse._ActionsContainer) -> None:
    """What only this app takes."""
    parser.add_argument(
        "--against", type=Path, metavar="B", help="the artifact to compare with (default: the other packaged one)"
    )
    web_options.configure(parser)


def run(options: RunOptions) -> Answer:
    """Read `options.image`, drawing what was read into `options.output`; without a picture, serve the page, and with
    `options.source` one more, of the camera there.

    Raises `UsageError` for options that none of these has a use for, and as `parse_address` does.
    """
    if options.config is not None:
        raise UsageError("the digits app has no use for --config", "edgekit run digits --image FILE")
    if options.image is not None and options.source is not None:
        raise UsageError("--image reads one picture, --source a camera", "leave out one of them")
    if options.image is not None:
        return _read(options, options.image)
    if options.output is not None:
        raise UsageError("the page writes no file: -o goes with --image", "edgekit run digits --image FILE -o OUT.png")
    return _serve(options)


def _read(options: RunOptions, path: Path) -> Answer:
    """One picture, from the command line."""
    image = read_image(path)
    with open_session(options.artifact, options.runtime) as session:
        reading = read_digits(image, Network(session))
        runtime = session.runtime
    if options.output is not None:
        write_png(options.output, annotated(image, reading.digits))
    return Answer(result=_result(reading, runtime), text=_text(reading, runtime))


def _serve(options: RunOptions) -> Answer:
    """The pages, until they are stopped."""
    from edgekit.apps.web.serve import ensure_packages, serve

    camera = _camera(options.source)
    ensure_packages()
    from edgekit.apps.digits.pages.shell import shell

    serving = web_options.serving(options)
    with closing(_desk(options)) as desk:
        return serve(shell(desk, camera and camera(desk)), serving)


def _camera(source: str | None) -> Callable[[Desk], DigitsCamera] | None:
    """The camera at an address; without one nothing of cameras is imported."""
    if source is None:
        return None
    from edgekit.apps.digits.camera import DigitsCamera
    from edgekit.apps.vision.sources.address import parse_address

    address = parse_address(source)
    need("av")
    return partial(DigitsCamera, address)


def _desk(options: RunOptions) -> Desk:
    session = open_session(options.artifact, options.runtime)
    others, absent = open_others(session, options.own.get("against"))
    return Desk(Network(session), tuple(Network(other) for other in others), absent)


def _result(reading: Reading, runtime: str) -> Mapping[str, Any]:
    """The JSON object of CLI.md."""
    digits = [asdict(digit) for digit in reading.digits]
    return {"digits": digits, "number": _number(reading), "latency_ms": reading.latency_ms, "runtime": runtime}


def _text(reading: Reading, runtime: str) -> str:
    """The number, then one line per digit, then how long it took."""
    if not reading.digits:
        return "no digits in this picture"
    lines = [_number(reading)]
    for digit in reading.digits:
        others = ", ".join(f"{other} {score:.2f}" for other, score in digit.top3[1:])
        doubt = f"   unsure: or {others}" if digit.score < UNSURE_BELOW else ""
        lines.append(f"  {digit.digit}  {digit.score:.2f}  at {digit.box[0]}, {digit.box[1]}{doubt}")
    return "\n".join([*lines, f"{reading.latency_ms:.2f} ms for {len(reading.digits)} digits on {runtime}"])


def _number(reading: Reading) -> str:
    """The digits in reading order."""
    return "".join(str(digit.digit) for digit in reading.digits)
