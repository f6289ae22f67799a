"""The person detector that edgekit ships: `persons.onnx`, which began as YOLOX-Nano, with its card and its artifact.

What `edgekit train persons` added to the weights of YOLOX-Nano (Megvii, Apache-2.0), and what the network scores, is in `MODEL_CARD.md`.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CARD, SCORES = FOLDER / "card.json", FOLDER / "scores.json"


def model_path() -> Path:
    """The network: `images` float32 [1, 3, 256, 320] BGR of 0..255 to `output` float32 [1, 1680, 6], YOLOX's head."""
    return FOLDER / "persons.onnx"


def artifacts() -> tuple[Path, ...]:
    """Ready-made artifacts of the network that came with the package, by name."""
    return tuple(sorted(path.parent for path in (FOLDER / "artifacts").glob("*/manifest.json")))
