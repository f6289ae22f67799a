"""How well the digit app's artifacts read: clean and perturbed test digits, fp32 beside int8, and how honest the scores are.

    python benchmarks/digits.py [FOLDER]      about four minutes on two quiet cores; FOLDER holds MNIST's t10k files

Two ways in, since both are used: "network" gives MNIST's own 28x28 pictures (spoiled where said) to the artifact; "app" lays
each digit, as ink on a sheet of paper, before the whole app, which finds, crops and centres it again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from common import SHARED, conditions, write
from numpy.typing import NDArray

from edgekit.apps.digits.networks import Network
from edgekit.apps.digits.reader import read_digits
from edgekit.loading import load
from edgekit.models.digits import artifacts
from edgekit.tasks.confidence import calibration_error
from edgekit.tasks.data.idx import read_labels
from edgekit.tasks.data.mnist import open_pair

Floats = NDArray[np.float32]
Spoil = Callable[[Floats], Floats]
SIDE = 28
THROUGH_THE_APP = 400
"""The last ones: mistakes of the ink finder were looked for on the first."""


def warped(picture: Floats, *, turn_degrees: float = 0.0, move_px: float = 0.0, size: float = 1.0) -> Floats:
    """Turned about the middle, resized, moved right and down: bilinear."""
    angle, middle = np.deg2rad(turn_degrees), (SIDE - 1) / 2
    y, x = np.mgrid[:SIDE, :SIDE] - middle - move_px
    across = (np.cos(angle) * x + np.sin(angle) * y) / size + middle
    along = (-np.sin(angle) * x + np.cos(angle) * y) / size + middle
    left, top = np.floor(across).astype(int), np.floor(along).astype(int)
    padded = np.pad(picture, SIDE)
    total = np.zeros_like(picture)
    for down in (0, 1):
        for right in (0, 1):
            weight = (1 - np.abs(across - left - right)) * (1 - np.abs(along - top - down))
            total += weight * padded[np.clip(top + down + SIDE, 0, 83), np.clip(left + right + SIDE, 0, 83)]
    return total.astype(np.float32)


def thicker(picture: Floats) -> Floats:
    return np.asarray((picture + around(picture).max(axis=0)) / 2, np.float32)


def thinner(picture: Floats) -> Floats:
    return np.asarray((picture + around(picture).min(axis=0)) / 2, np.float32)


def around(picture: Floats) -> Floats:
    padded = np.pad(picture, 1)
    return np.stack([padded[y : y + SIDE, x : x + SIDE] for y in range(3) for x in range(3)])


def noisy(picture: Floats) -> Floats:
    seed = int(picture.sum() * 1000) % 2**32
    return np.clip(picture + 0.2 * np.random.default_rng(seed).standard_normal(picture.shape), 0, 1).astype(np.float32)


SPOILS: Mapping[str, Spoil] = {
    "clean": lambda picture: picture,
    "turned 15 degrees left": lambda picture: warped(picture, turn_degrees=-15),
    "turned 15 degrees right": lambda picture: warped(picture, turn_degrees=15),
    "moved 2 pixels": lambda picture: warped(picture, move_px=2),
    "20 % smaller": lambda picture: warped(picture, size=0.8),
    "20 % larger": lambda picture: warped(picture, size=1.2),
    "thicker pen": thicker,
    "thinner pen": thinner,
    "noise of 20 %": noisy,
}


def on_paper(picture: Floats) -> NDArray[np.uint8]:
    """A photograph of the digit: dark ink on warm paper, uneven light, some noise, four times as large, with a margin."""
    enlarged = np.kron(np.pad(picture, 10), np.ones((4, 4)))
    sheet = np.stack([np.roll(enlarged, shift, (0, 1)) for shift in ((0, 0), (1, 0), (0, 1), (1, 1))]).mean(axis=0)
    light = np.linspace(0.95, 0.7, sheet.shape[1], dtype=np.float32)[None, :]
    random = np.random.default_rng(int(picture.sum() * 1000) % 2**32)
    gray = light * (1 - 0.75 * sheet) + 0.012 * random.standard_normal(sheet.shape)
    colored = np.clip(gray[..., None] * np.array([1, 0.97, 0.9]), 0, 1)
    return np.asarray(np.rint(colored * 255), np.uint8)


def answers(network: Network, pictures: Floats) -> Floats:
    return np.stack([network(picture) for picture in pictures])


def scored(network: Network, pictures: Floats, labels: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy and calibration error under every perturbation, in percent."""
    found = {}
    for name, spoil in SPOILS.items():
        said = answers(network, np.stack([spoil(picture) for picture in pictures]))
        found[name] = {
            "accuracy": round(100 * float((said.argmax(axis=1) == labels).mean()), 3),
            "calibration_error": round(100 * calibration_error(said, labels), 3),
        }
    return found


def through_the_app(network: Network, pictures: Floats, labels: NDArray[np.int64]) -> dict[str, float]:
    """Share of digits read as exactly that one digit: from MNIST's picture, and from a photograph of it on paper."""
    ways: dict[str, Callable[[Floats], NDArray[np.uint8]]] = {
        "white on black": lambda picture: np.repeat((picture * 255).astype(np.uint8)[..., None], 3, axis=2),
        "inverted, photographed on paper": on_paper,
    }
    return {
        name: round(
            100
            * float(
                np.mean([_reads(network, way(picture), int(label)) for picture, label in zip(pictures, labels, strict=True)])
            ),
            2,
        )
        for name, way in ways.items()
    }


def _reads(network: Network, image: NDArray[np.uint8], label: int) -> bool:
    return [digit.digit for digit in read_digits(image, network).digits] == [label]


def main(folder: Path) -> None:
    pair = open_pair(next(folder.glob("t10k*images-idx3-ubyte*")))
    pictures, labels = np.stack(tuple(pair.images)).astype(np.float32) / np.float32(255), read_labels(pair.labels_path)
    result: dict[str, Any] = {"test_digits": len(labels), "through_the_app_digits": THROUGH_THE_APP, "artifacts": {}}
    for artifact in artifacts():
        with load(artifact, threads=1) as session:
            network = Network(session)
            result["artifacts"][artifact.name] = {
                "runtime": session.runtime,
                "network": scored(network, pictures, labels),
                "app": through_the_app(network, pictures[-THROUGH_THE_APP:], labels[-THROUGH_THE_APP:]),
            }
    clean = [found["network"]["clean"]["accuracy"] for found in result["artifacts"].values()]
    result["largest_difference_clean"] = round(max(clean) - min(clean), 3)
    write("digits", result | {"conditions": conditions("onnxruntime", "ai-edge-litert")})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED / "mnist")
