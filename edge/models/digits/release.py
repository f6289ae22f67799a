"""For maintainers: `python -m edgekit.models.digits.release RUN` makes a finished training run the one that ships."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgekit.core.errors import InputError
from edgekit.core.files import sha256_bytes, write_atomically
from edgekit.models.digits import FOLDER, NUMBER, card, draw
from edgekit.tasks.pictures.images import write_png

PICTURES = ("confusion.png", "curves.png")
SAMPLE_SEEDS = (3, 12)
NUMBER_SEED = 7


def release(run: Path, folder: Path = FOLDER) -> None:
    """Copy the model and figures of `run` into `folder`, write the card, and draw the samples anew."""
    content = (run / "training.json").read_bytes()
    report, model = json.loads(content), (run / "digits.onnx").read_bytes()
    if report["test"] is None or sha256_bytes(model) != report["model"]["sha256"]:
        raise InputError(f"{str(run)!r} holds a model that was not tested, or not the one its report describes")
    write_atomically(folder / "digits.onnx", model)
    write_atomically(folder / "card.json", content)
    write_atomically(folder / "MODEL_CARD.md", card.render(report).encode())
    for name in PICTURES:
        write_atomically(folder / name, (run / name).read_bytes())
    draw_samples(folder)


def draw_samples(folder: Path) -> None:
    """Draw two of each digit and the page with the number."""
    for digit in range(10):
        for letter, seed in zip("ab", SAMPLE_SEEDS, strict=True):
            write_png(folder / "samples" / f"{digit}-{letter}.png", draw.small_digit(digit, seed)[..., None].repeat(3, axis=2))
    write_png(folder / "number.png", draw.page([NUMBER], NUMBER_SEED, draw.Sheet(height_px=64, noise=0.012)))


if __name__ == "__main__":
    release(Path(sys.argv[1]))
