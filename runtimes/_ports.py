"""From a source model's array to the engine's and back: transpose, quantize, and the checks, worked out once per port.

Numbers are written once, straight to where the engine reads them: into its own memory when it lends that, else into an array.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.schema import Port, TensorSpec

Array = NDArray[Any]
Converter = Callable[[Array], Array]
Writer = Callable[[Array, Array], None]
"""Takes the source's array and writes what it means into the engine's."""
FEW_LANES = 8
"""Up to so many channels are copied plane by plane."""
MAGIC = np.float32(3 << 22)
"""Added to a float32 below 2**22 it rounds that number to an integer, half to even, which then stands in the lowest bits."""


def _unchanged(array: Array) -> Array:
    return array


class Door:
    """One input: lets through arrays that fit its spec; `convert` makes the engine's array of one.

    `exact` asks for the very dtype, and then nothing is left to convert.
    """

    __slots__ = ("_dtype", "_exact", "_shape", "convert", "engine_name", "spec")

    def __init__(self, spec: TensorSpec, engine_name: str, *, convert: Converter = _unchanged, exact: bool = False) -> None:
        self.spec = spec
        self.convert = convert
        self.engine_name = engine_name
        self._exact = exact
        self._shape = spec.shape
        self._dtype = np.dtype(spec.dtype)

    def check(self, array: Array) -> Array:
        """The array; raises `InputError` for one that does not fit. `accepts` says which dtypes do."""
        if type(array) is not np.ndarray or array.shape != self._shape:
            raise _misfit(self.spec, array)
        dtype = array.dtype
        if dtype is not self._dtype and dtype != self._dtype and (self._exact or not accepts(self._dtype, dtype)):
            raise _misfit(self.spec, array)
        return array


def accepts(declared: np.dtype[Any], given: np.dtype[Any]) -> bool:
    """Whether an array of dtype `given` may stand for a tensor declared as `declared`.

    A float tensor takes any real number (rounding is fine); an integer tensor only what it holds without loss.
    """
    return bool(np.can_cast(given, declared, "same_kind" if declared.kind == "f" else "safe"))


def into_engine(port: Port) -> Converter:
    """Source array -> engine array. A quantizing converter writes to its own buffer: valid until its next call."""
    if not _is_quantized(port):
        return _caster(port.engine, port.permutation)
    write, held = _quantizer(port.engine, port.permutation), np.empty(port.engine.shape, port.engine.dtype)

    def convert(array: Array) -> Array:
        write(array, held)
        return held

    return convert


def into_memory(port: Port) -> Writer:
    """As `into_engine`, into memory that the engine lends."""
    return _quantizer(port.engine, port.permutation) if _is_quantized(port) else _copier(port.engine, port.permutation)


def into_memory_scaled(port: Port, scale: float) -> Writer:
    """As `into_memory`, of an array whose numbers are multiplied by `scale` first, in float32."""
    if _is_quantized(port):
        return _quantizer(port.engine, port.permutation, scale=scale)
    copy, factor = into_memory(port), np.float32(scale)
    return lambda array, into: copy(np.multiply(array, factor, dtype=np.float32), into)


def takes_bytes(port: Port, scale: float) -> bool:
    """Whether bytes times `scale` become the engine's integers by an addition: the fastest way in for a picture."""
    return _is_quantized(port) and _step_of_bytes(port.engine, scale) is not None


def out_of_engine(port: Port) -> Converter:
    """Engine array -> source array, which may be the engine's where nothing changes."""
    back = None if port.permutation is None else tuple(int(axis) for axis in np.argsort(port.permutation))
    if _is_quantized(port):
        return _dequantizer(port.source, port.engine, back)
    return _unchanged if back is None and port.engine.dtype == port.source.dtype else _caster(port.source, back)


def out_of_memory(port: Port) -> Converter:
    """As `out_of_engine`, from memory that the engine writes again: always a new array."""
    convert = out_of_engine(port)
    if convert is _unchanged:
        return lambda memory: memory.copy()

    def copied(memory: Array) -> Array:
        made = convert(memory)
        return made if made.base is None and made is not memory else made.copy()

    return copied


def _is_quantized(port: Port) -> bool:
    return port.engine.scale is not None and np.dtype(port.source.dtype).kind == "f"


def _quantizer(engine: TensorSpec, permutation: tuple[int, ...] | None, *, scale: float = 1.0) -> Writer:
    """q = clip(rint(real / scale) + zero_point), one multiply per element; NaN becomes the lowest value.

    With `scale` the numbers are multiplied by it before, rounded to float32 as they would be in an array of their own.
    """
    inverse, factor = np.float32(1.0 / float(engine.scale or 1.0)), None if scale == 1 else np.float32(scale)
    scratch: dict[tuple[int, ...], _Scratch] = {}

    def quantize(part: Array, into: Array) -> None:
        if (held := scratch.get(part.shape)) is None:
            held = scratch[part.shape] = _Scratch(part.shape, into.dtype, engine.zero_point or 0)
        held.quantize(part if factor is None else held.scaled(part, factor), inverse, into)

    step_of_bytes = cache(lambda: _step_of_bytes(engine, scale))

    def write(array: Array, into: Array) -> None:
        turned = array if permutation is None else array.transpose(permutation)
        step = step_of_bytes() if array.dtype == np.uint8 else None
        for part, place in _parts(turned, into):
            if step is not None:
                np.add(part, step, out=place.view(np.uint8))
            else:
                quantize(part, place)

    return write


def _step_of_bytes(engine: TensorSpec, scale: float) -> np.uint8 | None:
    """What turns a byte, pictures are made of them, into the quantized form of itself times `scale` when added, modulo 256; None where
    nothing does."""
    dtype = np.dtype(engine.dtype)
    if dtype.itemsize > 1:
        return None
    made, every = np.empty(256, dtype), np.arange(256, dtype=np.uint8)
    _quantizer(engine, None, scale=1.0)(np.multiply(every, np.float32(scale), dtype=np.float32), made)
    steps = made.view(np.uint8) - np.arange(256, dtype=np.uint8)
    return steps[0] if (steps == steps[0]).all() else None


class _Scratch:
    """Room for a part of an input on its way to integers, and the limits of these, as wide: numpy is twice as fast then."""

    __slots__ = ("base", "integers", "least", "lowest", "most", "odd", "values")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], zero_point: int) -> None:
        # An odd part of the zero point is added last: earlier it would turn the rounding of halves around.
        limits, self.odd = np.iinfo(dtype), np.int32(zero_point & 1)
        self.base = MAGIC + np.float32(zero_point & ~1)
        self.values = np.empty(shape, np.float32)
        self.integers = self.values.view(np.int32)
        self.lowest = _lowest_bytes(self.values)
        self.least, self.most = (np.full(shape, MAGIC + end - self.odd, np.float32) for end in (limits.min, limits.max))

    def scaled(self, real: Array, factor: np.float32) -> Array:
        """The numbers times `factor`, in the room that they are quantized in."""
        return np.multiply(real, factor, out=self.values, casting="same_kind")

    def quantize(self, real: Array, inverse: np.float32, into: Array) -> None:
        """Write the quantized numbers."""
        values = self.values
        np.multiply(real, inverse, out=values, casting="same_kind")
        np.add(values, self.base, out=values)
        np.fmax(values, self.least, out=values)
        np.fmin(values, self.most, out=values)
        if self.odd:
            np.add(self.integers, self.odd, out=self.integers)
        if into.dtype.itemsize == 1:
            np.copyto(into.view(np.uint8), self.lowest)
        else:
            np.copyto(into, self.integers - MAGIC.view(np.int32), casting="unsafe")


def _lowest_bytes(values: Array) -> Array:
    """The byte of every float32 that changes fastest, as a view."""
    first = 0 if sys.byteorder == "little" else 3
    bytes_of = values.reshape(-1).view(np.uint8).reshape(*values.shape, 4)
    return bytes_of[..., first]


def _parts(turned: Array, into: Array) -> Iterator[tuple[Array, Array]]:
    """The whole, or one colour plane after the other where numpy would otherwise go through the picture by single pixels."""
    if not _is_interleaved(turned):
        yield turned, into
        return
    for lane in range(turned.shape[-1]):
        yield turned[..., lane], into[..., lane]


def _dequantizer(source: TensorSpec, engine: TensorSpec, permutation: tuple[int, ...] | None) -> Converter:
    """real = (q - zero_point) * scale, float32 arithmetic, in the source's dtype."""
    scale, zero_point = np.float32(engine.scale or 1.0), np.float32(engine.zero_point or 0)
    dtype = np.dtype(source.dtype)

    def dequantize(array: Array) -> Array:
        turned = array if permutation is None else array.transpose(permutation)
        real = np.empty(turned.shape, np.float32)
        np.subtract(turned, zero_point, out=real, casting="same_kind")
        np.multiply(real, scale, out=real)
        return real if dtype == np.float32 else real.astype(dtype)

    return dequantize


def _copier(to: TensorSpec, permutation: tuple[int, ...] | None) -> Writer:
    """The same numbers in another layout and dtype, written."""
    narrow = np.dtype(to.dtype).kind in "iu"

    def copy(array: Array, into: Array) -> None:
        turned = array if permutation is None else array.transpose(permutation)
        if narrow:
            _check_range(turned, to)
        if not _is_interleaved(turned):
            np.copyto(into, turned, casting="unsafe")
            return
        for part, place in _parts(turned, into):
            np.copyto(place, part, casting="unsafe")

    return copy


def _caster(to: TensorSpec, permutation: tuple[int, ...] | None) -> Converter:
    """The same numbers in another layout and dtype, contiguous; the array itself when nothing changes."""
    dtype, copy = np.dtype(to.dtype), _copier(to, permutation)

    def cast(array: Array) -> Array:
        turned = array if permutation is None else array.transpose(permutation)
        if (turned.dtype is dtype or turned.dtype == dtype) and turned.flags.c_contiguous:
            return turned
        made = np.empty(turned.shape, dtype)
        copy(array, made)
        return made

    return cast


def _is_interleaved(turned: Array) -> bool:
    """Whether colour planes are to be interleaved: numpy then copies a few numbers at a time, four times slower than by plane."""
    return turned.ndim > 1 and 1 < turned.shape[-1] <= FEW_LANES and turned.strides[-1] != turned.itemsize


def _check_range(array: Array, to: TensorSpec) -> None:
    """Integers that the narrower type cannot hold are an error, not a wrap-around."""
    dtype = np.dtype(to.dtype)
    if dtype.kind not in "iu" or array.dtype.kind not in "iu" or np.can_cast(array.dtype, dtype):
        return
    limits = np.iinfo(dtype)
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        raise InputError(f"{to.name!r} holds {array.min()} to {array.max()}, which does not fit {to.dtype}")


def _misfit(spec: TensorSpec, array: object) -> InputError:
    """Say what an input must be and what came."""
    wanted = f"{spec.dtype} {list(spec.shape)}"
    if not isinstance(array, np.ndarray):
        return InputError(
            f"input {spec.name!r} must be a numpy array of {wanted}, got {type(array).__name__}", "numpy.asarray(…)"
        )
    hint = "is the batch dimension missing?" if array.shape == spec.shape[1:] else ""
    return InputError(f"input {spec.name!r} must be {wanted}, got {array.dtype} {list(array.shape)}", hint)
