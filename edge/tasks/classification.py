"""Which class a picture shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError, Unsupported
from edgekit.core.schema import Postprocess, Preprocess
from edgekit.tasks.decoding.head import Floats
from edgekit.tasks.decoding.recognise import head


def classify(outputs: Mapping[str, NDArray[Any]], postprocess: Postprocess, preprocess: Preprocess | None = None) -> Floats:
    """The probability of each class, float32 [classes], summing to 1.

    Raises `Unsupported` when the model detects or its head is unknown, `InputError` when the output has another size or is
    not finite.
    """
    if postprocess.task != "classification":
        raise Unsupported(f"this model does {postprocess.task}, not classification", "which model names one class?")
    probabilities: Floats = head(postprocess.head).decode(outputs, preprocess, postprocess)
    if not np.isfinite(probabilities).all():
        raise InputError("the model's scores hold NaN or infinity", "does the source model give them too?")
    return probabilities
