"""Option types that several commands share."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def add_general(parser: argparse.ArgumentParser) -> None:
    """What every command takes."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say more (-vv: tracebacks)")


def add_input_shape(parser: argparse.ArgumentParser) -> None:
    """`--input-shape NAME=1x3xHxW`, any number of times."""
    text = "static shape of a dynamic input"
    parser.add_argument("--input-shape", metavar="NAME=1x3xHxW", action="append", default=[], type=named_shape, help=text)


def add_preprocessing(parser: argparse.ArgumentParser, title: str) -> None:
    """The options that say how a picture, or a row of integers, becomes the model's input."""
    group = parser.add_argument_group(title)
    group.add_argument("--mean", type=numbers, help="one number or one per channel: 123.7,116.3,103.5")
    group.add_argument("--std", type=numbers, help="one number or one per channel")
    group.add_argument("--scale", type=float, help="factor on the 0..255 pixels, such as 0.00392157")
    group.add_argument("--layout", choices=("nchw", "nhwc"), help="order of the input's dimensions")
    group.add_argument("--color", choices=("rgb", "bgr", "gray"), help="order of the input's channels")
    group.add_argument(
        "--resize", choices=("stretch", "letterbox", "letterbox-center"), help="how a picture is fitted to the input"
    )


def preprocessing(args: argparse.Namespace) -> Mapping[str, Any]:
    """The preprocessing options that were given."""
    names = ("mean", "std", "scale", "layout", "color", "resize")
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def percentage(text: str) -> float:
    """`1%` and `0.01` are the same share; a bare 1 could be either, so it is refused."""
    value = share(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0% and 100%")
    if value == 1 and not text.endswith("%"):
        raise argparse.ArgumentTypeError(f"{text!r} could be 1% or 100%: write it with %")
    return value


def percentages(text: str) -> tuple[float, ...]:
    """`0%,30%` -> (0.0, 0.3)."""
    return tuple(percentage(part) for part in text.split(","))


def share(text: str) -> float:
    """`150%` and `1.5` are the same share, of any size from 0."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 5% or 0.05")
    return value


def count(text: str) -> int:
    """A whole number from 0."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def at_least_one(text: str) -> int:
    """A whole number from 1."""
    value = count(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return value


def named_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """`images=1x3x416x416` -> ("images", (1, 3, 416, 416))."""
    name, equals, shape = text.rpartition("=")
    sizes = shape.replace(",", "x").split("x")
    if not equals or not name or not all(size.isdecimal() and int(size) > 0 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=1x3x416x416")
    return name, tuple(int(size) for size in sizes)


def numbers(text: str) -> tuple[float, ...]:
    """`1,2,3` -> (1.0, 2.0, 3.0)."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, or numbers with commas") from None


def add_password(parser: argparse._ActionsContainer) -> None:
    """`--password-file FILE`, for those who cannot type."""
    text = "first line of this file is the password (default: asked for)"
    parser.add_argument("--password-file", metavar="FILE", type=Path, help=text)


def password_of(args: argparse.Namespace, prompt: str, *, twice: bool = False) -> str:
    """The password in `--password-file`, or what the person types. Raises `UsageError` where nobody can be asked."""
    from getpass import getpass

    from edgekit.core.errors import InputError, UsageError

    if args.password_file is not None:
        return password_in(args.password_file)
    if not sys.stdin.isatty():
        raise UsageError(
            "a password is needed and there is no terminal to ask on", "--password-file FILE, or --no-password for a new key"
        )
    password = getpass(prompt)
    if not password or (twice and getpass("The same again: ") != password):
        raise InputError(
            "the passwords differ" if password else "an empty password hides nothing", "--no-password leaves it out"
        )
    return password


def password_in(file: Path) -> str:
    """The first line of a password file. Raises `NotFound` and `InputError`."""
    from edgekit.core.errors import InputError, NotFound

    if not file.is_file():
        raise NotFound(f"no password file at {str(file)!r}")
    typed = file.read_text(encoding="utf-8").splitlines()[:1]
    if not typed or not typed[0]:
        raise InputError(f"{str(file)!r} holds no password in its first line")
    return typed[0]


def size(text: str) -> int:
    """`8GB`, `512MB` or a number of bytes, as bytes; memory is counted in powers of 1024."""
    plain = text.upper().removesuffix("B").removesuffix("I")
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(plain[-1:], 1)
    digits = plain[:-1] if factor > 1 else plain
    if not (digits.isascii() and digits.isdecimal() and int(digits)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 8GB")
    return int(digits) * factor
