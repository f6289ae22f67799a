"""The header of a GGUF file, read with suspicion and without loading a weight.

Every count is checked against the bytes that are left before anything of that size is made, so that a header that promises
10^15 tensors costs nothing. Long arrays (a vocabulary) stay in the file until they are asked for.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from edgekit.core.errors import InputError, NotFound
from edgekit.core.names import did_you_mean

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32
STRING, ARRAY = 8, 9
MOST_TENSORS = 100_000
MOST_KEYS = 100_000
MOST_KEY_BYTES = 1024
SHORT = 64
"""Arrays up to this length are read with the header; longer ones are `Stored`."""

PACKED: Mapping[int, str] = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Numbers by GGUF's type of value."""


class TensorKind(NamedTuple):
    """How values are stored: `block` of them take `bytes` bytes."""

    number: int
    name: str
    block: int
    bytes: int


KINDS: Mapping[int, TensorKind] = {
    number: TensorKind(number, name, block, size)
    for number, name, block, size in (
        (0, "F32", 1, 4),
        (1, "F16", 1, 2),
        (2, "Q4_0", 32, 18),
        (3, "Q4_1", 32, 20),
        (6, "Q5_0", 32, 22),
        (7, "Q5_1", 32, 24),
        (8, "Q8_0", 32, 34),
        (9, "Q8_1", 32, 40),
        (10, "Q2_K", 256, 84),
        (11, "Q3_K", 256, 110),
        (12, "Q4_K", 256, 144),
        (13, "Q5_K", 256, 176),
        (14, "Q6_K", 256, 210),
        (15, "Q8_K", 256, 292),
        (16, "IQ2_XXS", 256, 66),
        (17, "IQ2_XS", 256, 74),
        (18, "IQ3_XXS", 256, 98),
        (19, "IQ1_S", 256, 50),
        (20, "IQ4_NL", 32, 18),
        (21, "IQ3_S", 256, 110),
        (22, "IQ2_S", 256, 82),
        (23, "IQ4_XS", 256, 136),
        (24, "I8", 1, 1),
        (25, "I16", 1, 2),
        (26, "I32", 1, 4),
        (27, "I64", 1, 8),
        (28, "F64", 1, 8),
        (29, "IQ1_M", 256, 56),
        (30, "BF16", 1, 2),
        (34, "TQ1_0", 256, 54),
        (35, "TQ2_0", 256, 66),
        (39, "MXFP4", 32, 17),
    )
}
NAMED: Mapping[str, TensorKind] = {kind.name: kind for kind in KINDS.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A long array that was left in the file: `count` items of one type from `offset` on."""

    type: int
    count: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A value with GGUF's number for its type; for an array `item` is that of its items, and `value` a tuple or `Stored`."""

    type: int
    value: Any
    item: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorEntry:
    """One tensor: its shape outermost first (rows, columns), how it is stored, and where in the file."""

    name: str
    shape: tuple[int, ...]
    kind: str
    offset: int
    bytes: int

    @property
    def size(self) -> int:
        """How many values it has."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """All that a GGUF file says before its weights."""

    path: Path
    version: int
    values: Mapping[str, Typed]
    tensors: tuple[TensorEntry, ...]
    bytes: int

    def get(self, key: str, default: Any = None) -> Any:
        """The value under `key`; `default` when there is none, or it is a long array."""
        found = self.values.get(key)
        return default if found is None or isinstance(found.value, Stored) else found.value

    def count(self, key: str) -> int:
        """How long the array under `key` is; 0 when there is none."""
        found = self.values.get(key)
        if found is None or found.type != ARRAY:
            return 0
        return found.value.count if isinstance(found.value, Stored) else len(found.value)

    def array(self, key: str) -> tuple[Any, ...]:
        """The whole array under `key`, read now; texts as bytes, since vocabularies hold parts of characters."""
        found = self.values.get(key)
        if found is None or found.type != ARRAY:
            raise InputError(f"{self.path.name!r} has no array {key!r}", did_you_mean(key, self.values, ""))
        if not isinstance(found.value, Stored):
            return tuple(found.value)
        with _mapped(self.path) as data:
            return _Cursor(data, self.path, found.value.offset).items(found.value.type, found.value.count)


def read_header(path: Path) -> Header:
    """The header of the file at `path`. Raises `NotFound`, and `InputError` for whatever is no whole GGUF file."""
    if not path.is_file():
        raise NotFound(f"no model at {str(path)!r}", "is the path right?")
    size = path.stat().st_size
    _ensure_begins_well(path, size)
    with _mapped(path) as data:
        return _Cursor(data, path, len(MAGIC)).header(size)


def is_gguf(path: Path) -> bool:
    """Whether a file begins as GGUF does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _ensure_begins_well(path: Path, size: int) -> None:
    """Say what a file is that people commonly have in place of a model."""
    with path.open("rb") as file:
        head = file.read(256)
    if head.startswith(MAGIC) and size >= 24:
        return
    again = "download the file itself again: edgekit models pull NAME checks what it gets"
    if head.startswith(b"version https://git-lfs"):
        raise InputError(f"{path.name!r} is a Git LFS pointer of {size} bytes, not the model it points to", "git lfs pull")
    if head.lstrip()[:1] == b"<":
        raise InputError(f"{path.name!r} is a web page (it begins with {head.lstrip()[:9].decode(errors='replace')!r})", again)
    if head.startswith(MAGIC) or not head:
        raise InputError(f"{path.name!r} has {size} bytes: not even a GGUF header", again)
    raise InputError(f"{path.name!r} is no GGUF file: it begins with {head[:4]!r}, not {MAGIC!r}", "is it another format?")


class _Cursor:
    """Reads on from an offset, and never past the end."""

    def __init__(self, data: mmap.mmap, path: Path, offset: int) -> None:
        self._data = data
        self._path = path
        self._at = offset

    def header(self, size: int) -> Header:
        version = self._one("I")
        if version not in VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
            what = "is a big-endian GGUF file" if swapped else f"has GGUF version {version}"
            raise self._bad(f"{what}; versions {VERSIONS[0]} and {VERSIONS[1]}, little-endian, can be read")
        tensors, keys = self._one("Q"), self._one("Q")
        if tensors > MOST_TENSORS or keys > MOST_KEYS:
            raise self._bad(f"says it has {tensors} tensors and {keys} keys, which no model does")
        values = self._values(keys)
        listed = [self._tensor() for _ in range(tensors)]
        alignment = self._alignment(values)
        start = -(-self._at // alignment) * alignment
        entries = tuple(self._placed(entry, start, alignment, size) for entry in listed)
        if len({entry.name for entry in entries}) < len(entries):
            raise self._bad("has two tensors of one name")
        return Header(path=self._path, version=version, values=values, tensors=entries, bytes=size)

    def items(self, kind: int, count: int) -> tuple[Any, ...]:
        """An array's items; texts as bytes."""
        if kind == STRING:
            return tuple(self._text() for _ in range(count))
        form = self._form(kind)
        return struct.unpack(f"<{count}{form}", self._take(count * struct.calcsize(form)))

    def _values(self, count: int) -> Mapping[str, Typed]:
        values: dict[str, Typed] = {}
        for _ in range(count):
            key = self._text(MOST_KEY_BYTES).decode("utf-8", errors="replace")
            if key in values:
                raise self._bad(f"has the key {key!r} twice")
            values[key] = self._value(self._one("I"))
        return values

    def _value(self, kind: int) -> Typed:
        if kind == STRING:
            return Typed(type=kind, value=self._text().decode("utf-8", errors="replace"))
        if kind != ARRAY:
            return Typed(type=kind, value=self._one(self._form(kind)))
        item, count = self._one("I"), self._one("Q")
        least = 8 if item == STRING else struct.calcsize(self._form(item))
        if count * least > len(self._data) - self._at:
            raise self._bad(f"says an array has {count} items, more than the file holds")
        if count <= SHORT:
            return Typed(type=kind, item=item, value=self.items(item, count))
        stored = Stored(type=item, count=count, offset=self._at)
        self._skip(item, count)
        return Typed(type=kind, item=item, value=stored)

    def _skip(self, kind: int, count: int) -> None:
        if kind != STRING:
            self._take(count * struct.calcsize(self._form(kind)))
            return
        for _ in range(count):
            self._text()

    def _tensor(self) -> TensorEntry:
        """An entry whose offset still counts from where the weights begin."""
        name = self._text(MOST_KEY_BYTES).decode("utf-8", errors="replace")
        dimensions = self._one("I")
        if not 1 <= dimensions <= 4:
            raise self._bad(f"says tensor {name!r} has {dimensions} dimensions; 1 to 4 are possible")
        shape = tuple(self._one("Q") for _ in range(dimensions))[::-1]
        number, offset = self._one("I"), self._one("Q")
        if number not in KINDS:
            raise self._bad(f"stores tensor {name!r} in a type with the number {number}, which is not known here")
        kind = KINDS[number]
        if min(shape) < 1 or prod(shape) > 1 << 48 or shape[-1] % kind.block:
            raise self._bad(f"gives tensor {name!r} the shape {list(shape)}, which {kind.name} cannot have")
        size = prod(shape) // kind.block * kind.bytes
        return TensorEntry(name=name, shape=shape, kind=kind.name, offset=offset, bytes=size)

    def _placed(self, entry: TensorEntry, start: int, alignment: int, size: int) -> TensorEntry:
        """The entry with its place in the file, which must hold all of it."""
        if entry.offset % alignment:
            raise self._bad(f"has tensor {entry.name!r} at an offset that is no multiple of {alignment}")
        end = start + entry.offset + entry.bytes
        if end > size:
            raise self._bad(
                f"is truncated: tensor {entry.name!r} ends at byte {end}, the file at {size}", "download or copy it again"
            )
        return TensorEntry(name=entry.name, shape=entry.shape, kind=entry.kind, offset=start + entry.offset, bytes=entry.bytes)

    def _alignment(self, values: Mapping[str, Typed]) -> int:
        given = values["general.alignment"].value if "general.alignment" in values else ALIGNMENT
        if not isinstance(given, int) or given not in (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096):
            raise self._bad(f"has the alignment {given!r}")
        return given

    def _form(self, kind: int) -> str:
        if kind not in PACKED:
            raise self._bad(f"has a value of the type {kind}, which GGUF does not know there")
        return PACKED[kind]

    def _text(self, most: int = 1 << 26) -> bytes:
        size = self._one("Q")
        if size > most:
            raise self._bad(f"has a text of {size} bytes where {most} are the most")
        return self._take(size)

    def _one(self, form: str) -> Any:
        return struct.unpack(f"<{form}", self._take(struct.calcsize(form)))[0]

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise self._bad("is truncated: it ends in its header", "download or copy it again")
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def _bad(self, problem: str, hint: str = "is it damaged? download or convert it again") -> InputError:
        return InputError(f"{self._path.name!r} {problem}", hint)
