"""Classification: one score per class.

How a classifier wants its picture cannot be read off its shapes. The guesses are recorded in the manifest and can be
overridden: 1000 classes with channels first are taken for ImageNet as torchvision trains it, 1000 or 1001 with channels
last as TensorFlow does (-1..1), everything else as 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import Arrays, Floats, ImageInput, Recognised, image_input
from edgekit.tasks.labels import default_labels

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """One output [1, classes] (further axes of size 1 allowed) of at least two classes."""
    picture = image_input(inputs)
    if picture is None or len(outputs) != 1:
        return None
    sizes = [size for size in outputs[0].shape if size != 1]
    if len(outputs[0].shape) < 2 or outputs[0].shape[0] != 1 or len(sizes) != 1 or sizes[0] < 2:
        return None
    labels = default_labels(sizes[0]) if sizes[0] != 80 else tuple(f"class {index}" for index in range(80))
    return _preprocess(picture, sizes[0]), Postprocess(task="classification", head="classification", labels=labels)


def decode(outputs: Arrays, preprocess: Preprocess | None, postprocess: Postprocess) -> Floats:
    """Probabilities [classes]: the scores themselves when they are a distribution already, else their softmax."""
    fitting = [array for array in outputs.values() if array.size == len(postprocess.labels)]
    if len(fitting) != 1:
        found = ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items())
        raise InputError(
            f"the classification head needs one output of {len(postprocess.labels)} scores, the model gave {found}",
            "is this the right head?",
        )
    scores = fitting[0].reshape(-1).astype(np.float32)
    return scores if _is_distribution(scores) else _softmax(scores)


def _preprocess(picture: ImageInput, classes: int) -> Preprocess:
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    if picture.channels == 3 and picture.layout == "nchw" and classes == 1000:
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    elif picture.channels == 3 and picture.layout == "nhwc" and classes in (1000, 1001):
        mean, std = (0.5,), (0.5,)
    return Preprocess(
        input=picture.name,
        height=picture.height,
        width=picture.width,
        layout=picture.layout,
        color="rgb" if picture.channels == 3 else "gray",
        scale=1 / 255,
        mean=mean,
        std=std,
    )


def _is_distribution(scores: NDArray[np.float32]) -> bool:
    """Quantized distributions miss a sum of 1 by up to half a step (1/512) per class that is not zero."""
    return bool(scores.min() >= 0 and scores.max() <= 1 and abs(float(scores.sum()) - 1) <= 0.05)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max())
    shares: Floats = powers / powers.sum()
    return shares
