"""The digit network that edgekit ships: `digits.onnx`, trained by `edgekit train digits`, with its card and drawn samples."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent
CARD, TEMPERATURE = FOLDER / "card.json", FOLDER / "temperature.json"


class Sample(NamedTuple):
    """A picture of one digit (28x28 grey PNG, white ink on black, drawn by edgekit itself) and the digit it shows."""

    path: Path
    digit: int


def model_path() -> Path:
    """The trained network: `image` float32 [1, 1, 28, 28] in 0..1, white ink, to `probabilities` float32 [1, 10]."""
    return FOLDER / "digits.onnx"


def samples() -> tuple[Sample, ...]:
    """The drawn digits, two of each, in order."""
    return tuple(Sample(path, int(path.name[0])) for path in sorted((FOLDER / "samples").glob("[0-9]-*.png")))


def number_picture() -> Path:
    """A drawn page with the number `NUMBER` on it: dark ink, warm paper, uneven light, some noise."""
    return FOLDER / "number.png"


NUMBER = "3141592653"


def artifacts() -> tuple[Path, ...]:
    """Ready-made artifacts of the network that came with the package, by name."""
    return tuple(sorted(path.parent for path in (FOLDER / "artifacts").glob("*/manifest.json")))
