"""What a model is for, by the shapes of its inputs and outputs, and how it is fed, by the user's word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from edgekit.core.errors import InputError
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.recognise import recognise
from edgekit.tasks.pictures.preprocess import ensure_fits


def use_by_shape(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], overrides: Mapping[str, Any], labels: tuple[str, ...] = ()
) -> tuple[Preprocess | None, Postprocess | None]:
    """What a model that says nothing of its use looks like, with the user's changes to how it is fed.

    `labels` are the names that its file has for the classes; they are taken where there are as many, or where the shapes do not
    tell how many classes there are.
    """
    known = recognise(inputs, outputs)
    preprocess, postprocess = known if known is not None else (None, None)
    if labels and postprocess is not None and len(postprocess.labels) in (0, len(labels)):
        postprocess = msgspec.structs.replace(postprocess, labels=labels)
    return overridden(preprocess, inputs, overrides), postprocess


def overridden(preprocess: Preprocess | None, inputs: Sequence[TensorSpec], overrides: Mapping[str, Any]) -> Preprocess | None:
    """The preprocessing with the user's values in place; a picture-shaped input without any gets the usual one."""
    base = preprocess or picture_input(inputs)
    if base is None:
        if overrides:
            message = "preprocessing was given, but no input of the model is shaped like a picture"
            raise InputError(message, "leave out --mean, --std, --scale, --layout and --color")
        return None
    if not overrides:
        return base
    changed = msgspec.structs.replace(base, **overrides)
    ensure_fits(changed, next(spec for spec in inputs if spec.name == changed.input))
    return changed


def picture_input(inputs: Sequence[TensorSpec]) -> Preprocess | None:
    """The usual preprocessing (RGB, stretched, 0 to 1) when the only input is a float picture with 1 or 3 channels."""
    spec = inputs[0]
    if len(inputs) != 1 or len(spec.shape) != 4 or spec.shape[0] != 1 or np.dtype(spec.dtype).kind != "f":
        return None
    _, *dims = spec.shape
    if dims[0] not in (1, 3) and dims[2] not in (1, 3):
        return None
    layout: Literal["nchw", "nhwc"] = "nchw" if dims[0] in (1, 3) else "nhwc"
    channels, height, width = dims if layout == "nchw" else (dims[2], dims[0], dims[1])
    color: Literal["gray", "rgb"] = "gray" if channels == 1 else "rgb"
    return Preprocess(input=spec.name, height=height, width=width, layout=layout, color=color, scale=1 / 255)
