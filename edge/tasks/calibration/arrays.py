"""Calibration feeds from arrays: mapped files, arrays in memory, and whatever an iterable yields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.files import sha256_bytes, sha256_file
from edgekit.core.names import did_you_mean
from edgekit.core.schema import TensorSpec
from edgekit.tasks.data.archives import Scratch, mapped, unpacked

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayFeeds:
    """Rows of arrays, each with a sample axis in front and the model's shape behind it."""

    arrays: Arrays
    specs: tuple[TensorSpec, ...]
    chosen: tuple[int, ...]
    hashed: Callable[[], str]
    notes: tuple[str, ...] = ()
    keep: object = None
    """What must stay alive as long as the arrays, such as the temporary folder they are mapped from."""

    @property
    def sha256(self) -> str:
        return self.hashed()

    def __len__(self) -> int:
        return len(self.chosen)

    def __iter__(self) -> Iterator[Arrays]:
        for index in self.chosen:
            yield {spec.name: np.array(self.arrays[spec.name][index], dtype=spec.dtype) for spec in self.specs}


class SpooledFeeds:
    """What an iterable yielded, kept in a temporary file so that it can be gone through again."""

    notes: tuple[str, ...] = ()

    def __init__(self, feeds: Iterable[Arrays], names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._scratch = Scratch()
        self._length = 0
        hashes = []
        with self._file.open("wb") as file:
            for feed in feeds:
                for name in self._names:
                    np.save(file, feed[name], allow_pickle=False)
                    hashes.append(sha256_bytes(feed[name].tobytes()))
                self._length += 1
        self.sha256 = sha256_bytes("".join(hashes).encode())

    @property
    def _file(self) -> Path:
        return self._scratch.path / "feeds.npy"

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Arrays]:
        with self._file.open("rb") as file:
            for _ in range(self._length):
                yield {name: np.load(file, allow_pickle=False) for name in self._names}


def evenly(count: int, limit: int) -> tuple[int, ...]:
    """At most `limit` positions of `count`, spread evenly from the first to the last, ascending."""
    if count <= limit:
        return tuple(range(count))
    return tuple(dict.fromkeys(np.linspace(0, count - 1, limit).round().astype(int).tolist()))


def fitted(array: NDArray[Any], spec: TensorSpec, where: str) -> NDArray[Any]:
    """`array` with the model's own shape and dtype, a batch axis of one added when only that is missing."""
    _check_dtype(array.dtype, spec, where)
    if array.shape == spec.shape[1:] and spec.shape[:1] == (1,):
        array = array[None]
    if array.shape != spec.shape:
        raise InputError(
            f"{where}: shape {list(array.shape)} does not fit input {spec.name!r}, which takes {list(spec.shape)}",
            "is the layout right (channels first or last), and the size?",
        )
    return np.asarray(array, dtype=spec.dtype, order="C")


def array_feeds(sources: Mapping[str, NDArray[Any] | Path], inputs: Sequence[TensorSpec], limit: int) -> ArrayFeeds:
    """Feeds from arrays (or `.npy` files, mapped rather than read) by input name; all must hold as many samples."""
    _check_names(sources, inputs)
    opened = {spec.name: _opened(sources[spec.name]) for spec in inputs}
    return _rows(opened, inputs, limit, lambda: _hash_of(sources))


def npz_feeds(path: Path, inputs: Sequence[TensorSpec], limit: int) -> ArrayFeeds:
    """Feeds from an `.npz`: its arrays are unpacked to a temporary folder and mapped, never held in memory.

    An archive with one array serves a model with one input, whatever the array is called.
    """
    scratch = Scratch()
    members = unpacked(path, scratch.path)
    if len(members) == len(inputs) == 1:
        members = {inputs[0].name: next(iter(members.values()))}
    _check_names(members, inputs)
    opened = {spec.name: _opened(members[spec.name]) for spec in inputs}
    return _rows(opened, inputs, limit, lambda: sha256_file(path), keep=scratch)


def spooled_feeds(source: Iterable[NDArray[Any] | Arrays], inputs: Sequence[TensorSpec], limit: int) -> SpooledFeeds:
    """The first `limit` feeds of any iterable of arrays or mappings."""
    if not isinstance(source, Iterable):
        raise InputError(
            f"calibration data cannot be a {type(source).__name__}",
            "give a path, an array, or an iterable of arrays or mappings",
        )
    feeds = SpooledFeeds(
        (_checked(item, inputs, index) for index, item in enumerate(islice(source, limit))), [spec.name for spec in inputs]
    )
    if not len(feeds):
        raise InputError("the calibration iterable yielded nothing", "was the generator used up already?")
    return feeds


def _checked(item: NDArray[Any] | Arrays, inputs: Sequence[TensorSpec], index: int) -> Arrays:
    if not isinstance(item, Mapping):
        if len(inputs) != 1:
            raise InputError(f"calibration sample {index} is one array, the model has {len(inputs)} inputs", "yield mappings")
        item = {inputs[0].name: np.asarray(item)}
    _check_names(item, inputs)
    return {spec.name: fitted(np.asarray(item[spec.name]), spec, f"calibration sample {index}") for spec in inputs}


def _rows(
    arrays: Arrays, inputs: Sequence[TensorSpec], limit: int, hashed: Callable[[], str], keep: object = None
) -> ArrayFeeds:
    rows = {spec.name: _with_sample_axis(arrays[spec.name], spec) for spec in inputs}
    counts = {name: len(array) for name, array in rows.items()}
    if len(set(counts.values())) != 1:
        raise InputError(f"the arrays hold different numbers of samples: {counts}", "all inputs need as many")
    count = next(iter(counts.values()))
    if not count:
        raise InputError("the calibration arrays hold no samples", "give at least one")
    return ArrayFeeds(arrays=rows, specs=tuple(inputs), chosen=evenly(count, limit), hashed=hashed, keep=keep)


def _with_sample_axis(array: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """[samples, *model shape], whether the array is one sample, samples without a batch axis, or whole batches in a row."""
    _check_dtype(array.dtype, spec, f"the array for input {spec.name!r}")
    shape, batch = spec.shape, spec.shape[0] if spec.shape else 1
    if array.shape in (shape, shape[1:]) and (array.shape == shape or batch == 1):
        return array.reshape(1, *shape)
    if array.shape[1:] == shape:
        return array
    if array.ndim == len(shape) and array.shape[1:] == shape[1:] and array.shape[0] % batch == 0:
        return array.reshape(-1, *shape)
    raise InputError(
        f"the array for input {spec.name!r} has shape {list(array.shape)}; the model takes {list(shape)}",
        f"stack samples in front: [samples, {', '.join(str(size) for size in shape[1:])}]",
    )


def _check_dtype(dtype: np.dtype[Any], spec: TensorSpec, where: str) -> None:
    """Numbers of the model's kind only: bytes given to a float model are most likely pictures that were never scaled."""
    wanted = np.dtype(spec.dtype)
    if dtype.kind not in "fiub" or (wanted.kind == "f") != (dtype.kind == "f") or (wanted.kind == "b") != (dtype.kind == "b"):
        raise InputError(
            f"{where} is {dtype}, input {spec.name!r} takes {spec.dtype}",
            "give exactly what the model sees, after scale, mean and std",
        )


def _check_names(found: Mapping[str, object], inputs: Sequence[TensorSpec]) -> None:
    wanted = [spec.name for spec in inputs]
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    if missing or extra:
        hint = did_you_mean(extra[0], wanted, f"name the arrays {', '.join(wanted)}") if extra else "add the missing ones"
        raise InputError(f"the arrays are named {', '.join(found) or 'nothing'}, the model's inputs {', '.join(wanted)}", hint)


def _opened(source: NDArray[Any] | Path) -> NDArray[Any]:
    return mapped(source) if isinstance(source, Path) else np.asarray(source)


def _hash_of(sources: Mapping[str, NDArray[Any] | Path]) -> str:
    parts = (
        f"{name} {sha256_file(source) if isinstance(source, Path) else sha256_bytes(np.ascontiguousarray(source).tobytes())}"
        for name, source in sorted(sources.items())
    )
    return sha256_bytes("\n".join(parts).encode())
