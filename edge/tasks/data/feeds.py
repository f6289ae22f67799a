"""A sample of any data set as the feed of a model: pictures are prepared, features are fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.schema import Preprocess, TensorSpec
from edgekit.tasks.calibration.arrays import fitted
from edgekit.tasks.data.samples import Sample
from edgekit.tasks.pictures.preprocess import Placement, per_channel, prepare

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The model's feed, and where the picture lies in it when it was one."""

    feed: Arrays
    placement: Placement | None = None


def feed_of(sample: Sample, preprocess: Preprocess | None, inputs: Sequence[TensorSpec] = ()) -> Prepared:
    """`sample` as the feed of a model with these `inputs`; without them a picture's is float32 as it was prepared.

    Raises `InputError` when there is no way from the sample to the input: no preprocessing for a picture, other shapes.
    """
    if sample.image is not None:
        return _of_picture(sample.image, sample.name, preprocess, inputs)
    if sample.features is None or len(inputs) != 1:
        names = ", ".join(spec.name for spec in inputs) or "not known"
        raise InputError(f"sample {sample.name!r} feeds one input; the model's inputs are {names}", "give pictures")
    return Prepared(feed={inputs[0].name: model_input(sample.features, preprocess, inputs[0], sample.name)})


def _of_picture(image: NDArray[np.uint8], name: str, preprocess: Preprocess | None, inputs: Sequence[TensorSpec]) -> Prepared:
    if preprocess is None:
        raise InputError(
            f"{name!r} is a picture, but how a picture becomes this model's input is not known",
            "say it with --scale, --mean, --std, --layout and --color",
        )
    prepared = prepare(image, preprocess)
    spec = next((spec for spec in inputs if spec.name == preprocess.input), None)
    array = prepared.array if spec is None else as_stored(prepared.array, spec, name)
    return Prepared(feed={preprocess.input: array}, placement=prepared.placement)


def as_stored(array: NDArray[np.float32], spec: TensorSpec, where: str) -> NDArray[Any]:
    """A prepared picture in the input's dtype: rounded and clipped where that takes integers."""
    if np.issubdtype(np.dtype(spec.dtype), np.integer):
        limits = np.iinfo(spec.dtype)
        return fitted(np.clip(np.rint(array), limits.min, limits.max).astype(spec.dtype), spec, where)
    return fitted(array.astype(spec.dtype, copy=False), spec, where)


def model_input(features: NDArray[Any], preprocess: Preprocess | None, spec: TensorSpec, where: str) -> NDArray[Any]:
    """Features as the input takes them: floats as they are, integers for a float input by `(value * scale - mean) / std`.

    Raises `InputError` when the shapes differ, and for signed integers when nothing says what they stand for.
    """
    if np.dtype(spec.dtype).kind != "f" or features.dtype.kind == "f":
        return fitted(features, spec, where)
    if preprocess is None or (features.dtype.kind == "i" and _is_guess(preprocess)):
        raise InputError(
            f"{where}: the features are {features.dtype}, input {spec.name!r} takes {spec.dtype}, and what they stand for is not known",
            "say it with --scale and --mean: value * scale - mean (quantized: their scale, and scale * zero point)",
        )
    mean, std = (
        _spread(values, features, preprocess, what) for values, what in ((preprocess.mean, "mean"), (preprocess.std, "std"))
    )
    return fitted(((features.astype(np.float32) * np.float32(preprocess.scale) - mean) / std), spec, where)


def _is_guess(preprocess: Preprocess) -> bool:
    """Whether this is the preprocessing that pixels get when nobody says another."""
    return preprocess.scale == 1 / 255 and not any(preprocess.mean)


def _spread(values: tuple[float, ...], features: NDArray[Any], preprocess: Preprocess, what: str) -> NDArray[np.float32]:
    """One value for all, or one per channel along the axis of the layout."""
    if len(values) == 1:
        return np.array(values[0], dtype=np.float32)
    axis = 0 if preprocess.layout == "nchw" else features.ndim - 1
    shape = [1] * features.ndim
    shape[axis] = -1
    return per_channel(values, features.shape[axis], what).reshape(shape)
