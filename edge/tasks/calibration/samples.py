"""Samples for calibration, from wherever people keep them, as feeds that can be gone through again and again.

Nothing is held in memory but the current sample: pictures are decoded anew on every pass, arrays are mapped from disk, and
what a generator yields is spooled to a temporary file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError, NotFound
from edgekit.core.schema import Preprocess, TensorSpec
from edgekit.tasks.calibration.arrays import array_feeds, npz_feeds, spooled_feeds
from edgekit.tasks.calibration.features import feature_feeds
from edgekit.tasks.calibration.pictures import idx_feeds, picture_feeds, picture_spec, prepared_input
from edgekit.tasks.pictures.images import read_image

Arrays = Mapping[str, NDArray[Any]]
CalibrationSource = str | Path | NDArray[Any] | Mapping[str, NDArray[Any]] | Iterable[NDArray[Any] | Arrays | str | Path]
log = logging.getLogger(__name__)


class Feeds(Protocol):
    """Feeds that can be iterated again; `sha256` covers what they are made from."""

    @property
    def sha256(self) -> str: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Arrays]: ...


class CalibrationSamples:
    """At most `limit` feeds by input name, each of exactly the model's shapes and dtypes. Iterate as often as needed.

    A pass raises `InputError` when a value is NaN or infinite, or when a float input never changed during the whole pass.
    """

    def __init__(self, feeds: Feeds, inputs: Sequence[TensorSpec], origin: str) -> None:
        self._feeds = feeds
        self._floats = frozenset(spec.name for spec in inputs if np.dtype(spec.dtype).kind == "f")
        self.origin = origin

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, in sentences."""
        return self._feeds.notes

    @property
    def sha256(self) -> str:
        """The hash of the data that the feeds are made from."""
        return self._feeds.sha256

    def __len__(self) -> int:
        return len(self._feeds)

    def __iter__(self) -> Iterator[Arrays]:
        seen: dict[str, tuple[float, float]] = {}
        for index, feed in enumerate(self._feeds):
            for name, array in feed.items():
                low, high = self._range(name, index, array)
                before = seen.get(name, (low, high))
                seen[name] = min(low, before[0]), max(high, before[1])
            yield feed
        for name, (low, high) in seen.items():
            if low == high and name in self._floats:
                raise InputError(
                    f"calibration data for input {name!r} is {low:g} everywhere ({self.origin})",
                    "give samples like the real ones",
                )

    def _range(self, name: str, index: int, array: NDArray[Any]) -> tuple[float, float]:
        low, high = float(array.min()), float(array.max())
        if not np.isfinite((low, high)).all():
            wrong = int((~np.isfinite(array)).sum())
            raise InputError(
                f"calibration sample {index} of input {name!r} holds {wrong} NaN or infinite values ({self.origin})",
                "leave that sample out",
            )
        return low, high


def calibration_samples(
    source: CalibrationSource, preprocess: Preprocess | None, inputs: Sequence[TensorSpec], limit: int = 128
) -> CalibrationSamples:
    """At most `limit` calibration feeds for a model with these `inputs`, spread evenly over what `source` holds.

    `source` is a folder of pictures or an idx file of them, an `.npz` whose arrays are named as the inputs or that is labelled
    data for a model of one input (see `npz.open_npz`), an `.npy`, an array,
    a mapping of arrays, or any iterable of arrays or mappings; arrays hold what the model sees, with or without a batch axis.
    An iterable may also yield pictures (uint8 [h, w, 3] RGB) or their paths. All pictures need `preprocess`. Raises `NotFound` when a path does not exist and `InputError` when nothing usable is there or
    names, shapes or dtypes do not fit.
    """
    if limit < 1:
        raise InputError(f"the calibration limit is {limit}", "at least 1 sample is needed")
    feeds = _feeds(source, preprocess, inputs, limit)
    for note in feeds.notes:
        log.warning("%s", note)
    return CalibrationSamples(feeds, inputs, str(source) if isinstance(source, str | Path) else f"from {type(source).__name__}")


def _feeds(source: CalibrationSource, preprocess: Preprocess | None, inputs: Sequence[TensorSpec], limit: int) -> Feeds:
    if isinstance(source, str | Path):
        return _from_path(Path(source), preprocess, inputs, limit)
    if isinstance(source, np.ndarray):
        return array_feeds({_only(inputs, "an array").name: source}, inputs, limit)
    if isinstance(source, Mapping):
        return array_feeds(source, inputs, limit)
    return spooled_feeds(_items(source, preprocess, inputs), inputs, limit)


def _items(
    source: Iterable[NDArray[Any] | Arrays | str | Path], preprocess: Preprocess | None, inputs: Sequence[TensorSpec]
) -> Iterator[NDArray[Any] | Arrays]:
    """The items of `source`, pictures among them made into what the model sees."""
    if not isinstance(source, Iterable):
        raise InputError(
            f"calibration data cannot be a {type(source).__name__}",
            "give a path, an array, or an iterable of arrays or mappings",
        )
    for index, item in enumerate(source):
        found = read_image(item) if isinstance(item, str | Path) else item
        if preprocess is not None and isinstance(found, np.ndarray) and _is_picture(found):
            spec = picture_spec(preprocess, inputs)
            yield {spec.name: prepared_input(found, preprocess, spec, f"calibration picture {index}")}
        else:
            yield found


def _is_picture(array: NDArray[Any]) -> bool:
    return array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3


def _from_path(path: Path, preprocess: Preprocess | None, inputs: Sequence[TensorSpec], limit: int) -> Feeds:
    if not path.exists():
        raise NotFound(f"no calibration data at {str(path)!r}", "is the path right?")
    if path.suffix == ".npz":
        return feature_feeds(path, preprocess, inputs, limit) or npz_feeds(path, inputs, limit)
    if path.suffix == ".npy":
        return array_feeds({_only(inputs, path.name).name: path}, inputs, limit)
    if preprocess is None:
        raise InputError(
            f"{str(path)!r} holds pictures, but how a picture becomes this model's input is not known",
            "say it with --scale, --mean, --std, --layout and --color, or give an .npz of what the model sees",
        )
    return idx_feeds(path, preprocess, inputs, limit) or picture_feeds(path, preprocess, inputs, limit)


def _only(inputs: Sequence[TensorSpec], what: str) -> TensorSpec:
    if len(inputs) != 1:
        names = ", ".join(spec.name for spec in inputs)
        raise InputError(f"{what} is one array, the model has {len(inputs)} inputs: {names}", "give an .npz with these names")
    return inputs[0]
