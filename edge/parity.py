"""Parity: does something that runs answer what the source model answers? And the samples to ask both."""

from __future__ import annotations

import io
import itertools
import math
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import ArtifactError, GateFailed, InputError
from edgekit.core.schema import Parity, Precision, Preprocess, TensorSpec

Feed = Mapping[str, NDArray[Any]]
Run = Callable[[Feed], Feed]

FLOAT_TOLERANCE = 1e-4
"""fp32: largest error relative to the output's largest magnitude. Two correct float engines differ by 1e-6 to 1e-5."""
ROUNDING_ALLOWANCE = 3.0
"""A model that amplifies rounding may differ so many times as much as its own engine differs from itself unoptimised. YOLOX-Nano in
LiteRT: 1.7 times on an Intel Xeon, 2.1 on an AMD EPYC."""
SQNR_FLOOR_DB: Mapping[str, float] = {"fp16": 30.0, "int8": 6.0, "mixed": 6.0, "int16x8": 6.0, "dynamic": 6.0}
"""Quantized: signal to quantization noise of the worst output. Below 6 dB the error is half the signal: not the same model."""
GOLDEN_SAMPLES = 2
PARITY_SAMPLES = 8
GOLDEN_LIMIT_BYTES = 2 << 30
_AGAIN = "convert the model again"


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Samples and what the source model answers to them; a few travel inside the artifact, to check it anywhere."""

    feeds: tuple[Feed, ...]
    answers: tuple[Feed, ...]


def golden_of(run: Run, samples: Iterable[Feed], limit: int = PARITY_SAMPLES) -> Golden:
    """Ask the source model for its answers to the first `limit` samples. Raises `InputError` when one holds NaN."""
    feeds = tuple(itertools.islice(samples, limit))
    answers = tuple(run(feed) for feed in feeds)
    for index, answer in enumerate(answers):
        for name, value in answer.items():
            if np.asarray(value).dtype.kind == "f" and np.isnan(value).any():
                raise InputError(
                    f"the source model's output {name!r} holds NaN on sample {index}: nothing can be compared with it",
                    "are the weights finite, and is the sample like the real ones?",
                )
    return Golden(feeds=feeds, answers=answers)


def synthetic_samples(inputs: Sequence[TensorSpec], picture: Preprocess | None = None) -> tuple[Feed, ...]:
    """Seeded inputs for a model without samples: smooth random fields for floats, zeros and ones for integers.

    A picture input gets the range its preprocessing gives to pixels from 0 to 255, any other float input 0 to 1.
    """
    rng = np.random.default_rng(0)
    low, high = _pixel_range(picture)
    ranges = {spec.name: (low, high) if picture and spec.name == picture.input else (0.0, 1.0) for spec in inputs}
    return tuple({spec.name: _synthetic(spec, ranges[spec.name], rng) for spec in inputs} for _ in range(PARITY_SAMPLES))


def _pixel_range(picture: Preprocess | None) -> tuple[float, float]:
    if picture is None:
        return 0.0, 1.0
    mean, std = sum(picture.mean) / len(picture.mean), sum(picture.std) / len(picture.std)
    return -mean / std, (255 * picture.scale - mean) / std


def parity(golden: Golden, run: Run, precision: Precision) -> Parity:
    """Compare `run` with the golden answers: worst output over all samples, in the metric that suits the precision.

    Raises `GateFailed` when an output is missing or has another shape: there is no distance to measure then.
    """
    pairs = [(answer, run(feed)) for feed, answer in zip(golden.feeds, golden.answers, strict=True)]
    names = list(golden.answers[0])
    for answer, found in pairs:
        _ensure_comparable(answer, found)
    score = _relative_error if precision == "fp32" else _sqnr_db
    scores = {name: score([answer[name] for answer, _ in pairs], [found[name] for _, found in pairs]) for name in names}
    if precision == "fp32":
        worst, tolerance = max(scores, key=lambda name: scores[name]), FLOAT_TOLERANCE
        ok = scores[worst] <= tolerance
    else:
        worst, tolerance = min(scores, key=lambda name: scores[name]), SQNR_FLOOR_DB[precision]
        ok = scores[worst] >= tolerance
    metric: Literal["max_relative_error", "sqnr_db"] = "max_relative_error" if precision == "fp32" else "sqnr_db"
    return Parity(
        metric=metric, value=_rounded(scores[worst]), tolerance=tolerance, ok=ok, worst_output=worst, samples=len(pairs)
    )


def _ensure_comparable(answer: Feed, found: Feed) -> None:
    """Broadcasting would compare arrays of different shapes without a word."""
    for name, wanted in answer.items():
        if name not in found:
            raise GateFailed(f"parity: the artifact has no output {name!r}, only {', '.join(map(repr, found))}", _AGAIN)
        if np.shape(found[name]) != np.shape(wanted):
            shapes = f"{list(np.shape(found[name]))}, the source model's {list(np.shape(wanted))}"
            raise GateFailed(f"parity: the artifact's output {name!r} has shape {shapes}", _AGAIN)


def judged(found: Parity, tolerance: float) -> Parity:
    """The same measurement judged by another tolerance."""
    relative = found.metric == "max_relative_error"
    ok = found.value <= tolerance if relative else found.value >= tolerance
    return msgspec.structs.replace(found, tolerance=tolerance, ok=ok)


def ensure_parity(precision: str, found: Parity) -> None:
    """Raise `GateFailed` with the numbers unless the parity holds."""
    if found.ok:
        return
    relative = found.metric == "max_relative_error"
    wanted = f"at most {found.tolerance:g}" if relative else f"at least {found.tolerance:g} dB"
    said = f"{found.value:.3g}" if relative else f"{found.value:.1f} dB"
    message = f"parity: output {found.worst_output!r} of the {precision} artifact has {found.metric} {said}, needed {wanted}"
    raise GateFailed(message, "calibrate on data like the device will see, or try --precision fp16")


def golden_bytes(golden: Golden, limit: int = GOLDEN_SAMPLES) -> bytes:
    """An `.npz` with keys `input/NAME/INDEX` and `output/NAME/INDEX`; the same samples always give the same bytes."""
    arrays = {
        f"{kind}/{name}/{index}": value
        for kind, feeds in (("input", golden.feeds), ("output", golden.answers))
        for index, feed in enumerate(feeds[:limit])
        for name, value in feed.items()
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for key, value in arrays.items():
            content = io.BytesIO()
            np.save(content, np.asarray(value, order="C"), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{key}.npy"), content.getvalue(), zipfile.ZIP_DEFLATED)
    return file.getvalue()


def read_golden(path: Path) -> Golden:
    """Read `golden_bytes` back; `ArtifactError` when the file is not one, or unpacks to more than `GOLDEN_LIMIT_BYTES`."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            _ensure_small(path, archive)
            arrays = {key.removesuffix(".npy"): _array(archive.read(key)) for key in archive.namelist()}
        indices = sorted({int(key.rsplit("/", 1)[1]) for key in arrays})
        feeds, answers = (tuple(_collected(arrays, kind, index) for index in indices) for kind in ("input", "output"))
    except ArtifactError:
        raise
    except Exception as exc:  # numpy's and zipfile's readers raise anything on hostile bytes
        raise ArtifactError(f"the golden samples in {str(path)!r} are damaged: {exc}", _AGAIN) from exc
    if not feeds or not all(feeds) or not all(answers):
        raise ArtifactError(f"the golden samples in {str(path)!r} are empty", _AGAIN)
    if len({frozenset(answer) for answer in answers}) > 1:
        raise ArtifactError(f"the golden samples in {str(path)!r} do not all answer for the same outputs", _AGAIN)
    return Golden(feeds=feeds, answers=answers)


def _ensure_small(path: Path, archive: zipfile.ZipFile) -> None:
    """Reading stops at the size the archive's directory promises, so the promise is what has to be small."""
    size = sum(info.file_size for info in archive.infolist())
    if size > GOLDEN_LIMIT_BYTES:
        message = (
            f"the golden samples in {str(path)!r} unpack to {size} bytes, more than the {GOLDEN_LIMIT_BYTES} they may have"
        )
        raise ArtifactError(message, "do not use this artifact")


def _array(data: bytes) -> NDArray[Any]:
    """One array of the archive; numpy refuses pickled objects, and nothing is set aside that the bytes do not fill."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.itemsize * math.prod(shape) > len(data):
        raise ValueError(f"an array of shape {list(shape)} was promised, {len(data)} bytes came")
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return array


def _collected(arrays: Mapping[str, NDArray[Any]], kind: str, index: int) -> Feed:
    prefix, suffix = f"{kind}/", f"/{index}"
    return {k[len(prefix) : -len(suffix)]: v for k, v in arrays.items() if k.startswith(prefix) and k.endswith(suffix)}


def _relative_error(expected: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """Largest absolute error over the largest finite magnitude of the output in all samples; infinite when one is NaN."""
    errors = [_difference(e, f) for e, f in zip(expected, found, strict=True)]
    error = float(np.max([np.abs(each).max(initial=0.0) for each in errors]))  # NaN wins here, unlike in Python's max
    magnitude = max(float(np.abs(e[np.isfinite(e)].astype(np.float64)).max(initial=0.0)) for e in expected)
    if not math.isfinite(error):
        return math.inf
    return error / magnitude if magnitude else error


def _sqnr_db(expected: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """10 log10(signal power / error power); an output that is constant in the source must be constant in the artifact."""
    signal = sum(float(np.square(e[np.isfinite(e)].astype(np.float64)).sum()) for e in expected)
    noise = sum(float(np.square(_difference(e, f)).sum()) for e, f in zip(expected, found, strict=True))
    if not math.isfinite(noise):
        return -EXACT_DB
    if noise == 0.0:
        return EXACT_DB
    return float(np.clip(10 * math.log10(signal / noise), -EXACT_DB, EXACT_DB)) if signal else -EXACT_DB


def _difference(expected: NDArray[Any], found: NDArray[Any]) -> NDArray[np.float64]:
    """`expected - found`, 0 where both are the same infinity (a mask's, say)."""
    same = (expected == found) & ~np.isfinite(expected)
    with np.errstate(invalid="ignore"):
        return np.where(same, 0.0, expected.astype(np.float64) - found)


EXACT_DB = 200.0
"""Stands for "no error at all" (and its negative for "nothing in common"), since JSON has no infinity."""


def _synthetic(spec: TensorSpec, span: tuple[float, float], rng: np.random.Generator) -> NDArray[Any]:
    if np.dtype(spec.dtype).kind != "f":
        return rng.integers(0, 2, spec.shape).astype(spec.dtype)
    noise = rng.random(spec.shape)
    for axis in range(max(0, noise.ndim - 2), noise.ndim):
        noise = (noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)) / 3
    return (span[0] + noise * (span[1] - span[0])).astype(spec.dtype)


def _rounded(value: float) -> float:
    """Six significant digits: more than a parity means, and the same text on every run."""
    return float(f"{value:.6g}") if math.isfinite(value) else 1e30
