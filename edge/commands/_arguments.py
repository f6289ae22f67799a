"""Option types that several commands share."""

from __future__ import annotations

import argparse


def add_input_shape(parser: argparse.ArgumentParser) -> None:
    """`--input-shape NAME=1x3xHxW`, any number of times."""
    text = "static shape of a dynamic input"
    parser.add_argument("--input-shape", metavar="NAME=1x3xHxW", action="append", default=[], type=named_shape, help=text)


def percentage(text: str) -> float:
    """`1%` and `0.01` are the same share."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 1% or 0.01") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0% and 100%")
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
