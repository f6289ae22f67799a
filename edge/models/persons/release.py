"""For maintainers: a finished training run becomes the one that ships.

python -m edgekit.models.persons.release RUN            the folder of `edgekit train persons`
python -m edgekit.models.persons.release --card         the card again, after benchmarks/persons.py wrote scores.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgekit.core.errors import InputError
from edgekit.core.files import sha256_bytes, write_atomically
from edgekit.models.persons import CARD, FOLDER, SCORES, card


def release(run: Path, folder: Path = FOLDER) -> None:
    """Copy model and report of `run` into `folder`. What was measured on the last one is no longer true and goes."""
    content = (run / "training.json").read_bytes()
    model = (run / "persons.onnx").read_bytes()
    if sha256_bytes(model) != json.loads(content)["model"]["sha256"]:
        raise InputError(f"{str(run)!r} holds a model that is not the one its report describes")
    write_atomically(folder / "persons.onnx", model)
    write_atomically(folder / CARD.name, content)
    (folder / SCORES.name).unlink(missing_ok=True)


def write_card(folder: Path = FOLDER) -> None:
    """The model card from the run's report and the measured scores."""
    report, scores = (json.loads((folder / name).read_bytes()) for name in (CARD.name, SCORES.name))
    write_atomically(folder / "MODEL_CARD.md", card.render(report, scores).encode())


if __name__ == "__main__":
    write_card() if sys.argv[1:] == ["--card"] else release(Path(sys.argv[1]))
