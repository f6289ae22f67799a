"""For maintainers: `python -m edgekit.train.temperature MNIST` fits how sure the shipped digit network says it is.

Fitted on the digits that were set aside from the training set for choosing the epoch, clean and under every distortion that
the card reports, since hands and cameras send those; the test set has no part in it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.core.files import sha256_file, write_atomically
from edgekit.core.optional import need
from edgekit.models.digits import CARD, TEMPERATURE, model_path
from edgekit.tasks.confidence import calibration_error, fitted_temperature, tempered
from edgekit.train import mnist
from edgekit.train.digits import tensors
from edgekit.train.loop import Pictures, split
from edgekit.train.robustness import spoiled, spoils


def fit(data: Path) -> dict[str, Any]:
    """The temperature of the shipped network with what it was fitted on, and its calibration error there before and after."""
    settings = msgspec.json.decode(CARD.read_bytes())["settings"]
    pair = mnist.training_pair(data)
    _, held = split(tensors(pair), settings["validation"], settings["seed"])
    sets = [held, *(spoiled(held, spoil) for spoil in spoils().values())]
    probabilities = np.concatenate([_answers(pictures) for pictures in sets])
    labels = np.tile(held.labels.numpy(), len(sets))
    temperature = round(fitted_temperature(probabilities, labels), 4)
    return {
        "network": sha256_file(model_path()),
        "temperature": temperature,
        "fitted_on": f"{len(held.labels):,} digits of {pair.files[0].name} that trained no weights, clean and {len(sets) - 1} ways distorted",
        "calibration_error_before": round(calibration_error(probabilities, labels), 5),
        "calibration_error": round(calibration_error(tempered(probabilities, temperature), labels), 5),
    }


def _answers(pictures: Pictures) -> NDArray[np.float32]:
    """The shipped network's probabilities, [N, 10]."""
    session = need("onnxruntime").InferenceSession(str(model_path()), providers=["CPUExecutionProvider"])
    feeds = pictures.images.numpy().astype(np.float32) / np.float32(255)
    return np.concatenate([session.run(None, {"image": feed[None]})[0] for feed in feeds])


if __name__ == "__main__":
    found = fit(Path(sys.argv[1]))
    write_atomically(TEMPERATURE, msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    sys.stdout.write(f"temperature {found['temperature']}\n")
