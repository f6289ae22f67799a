"""Which models there are to fetch: the shipped catalogue, and a person's own beside the configuration, which wins."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
import yaml

from edgekit.core.errors import InputError, NotFound
from edgekit.core.files import write_atomically
from edgekit.core.names import did_you_mean
from edgekit.core.schema import Value
from edgekit.core.strict_yaml import parse

SHIPPED = Path(__file__).with_name("catalogue.yaml")
LARGEST_BYTES = 1 << 20


class Entry(Value, frozen=True, kw_only=True):
    """One model. What is not known is left out: no size without a source, no hash that nobody computed."""

    name: str
    kind: Literal["text", "vision"]
    title: str
    licence: str
    page: str
    """Where its makers publish it: for a person to read."""
    url: str = ""
    """Of the file; empty where it cannot be fetched without a person (a licence to accept)."""
    bytes: int | None = None
    sha256: str = ""
    parameters: int | None = None
    kv_bytes_per_token: int | None = None
    task: str = ""
    """Of a vision model: detection, classification, ..."""
    source: str = ""
    note: str = ""

    @property
    def file(self) -> str:
        """The file's name in the address."""
        return Path(urlsplit(self.url).path).name


class Catalogue(Value, frozen=True, kw_only=True):
    """A file of entries."""

    models: tuple[Entry, ...]


def entries() -> tuple[Entry, ...]:
    """All models by name, a person's own in place of shipped ones of the same name. Raises `InputError` for a damaged file."""
    found = {entry.name: entry for entry in read(SHIPPED)}
    if own_file().is_file():
        found |= {entry.name: entry for entry in read(own_file())}
    return tuple(found[name] for name in sorted(found))


def find(name: str) -> Entry:
    """The entry of that name. Raises `NotFound` with the nearest one."""
    known = {entry.name: entry for entry in entries()}
    if name not in known:
        raise NotFound(f"no model named {name!r}", did_you_mean(name, known, "edgekit models list"))
    return known[name]


def own_file() -> Path:
    """A person's own catalogue."""
    return _config() / "models.yaml"


def store() -> Path:
    """Where fetched models are kept."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(os.path.expanduser(data)) / "edgekit/models"  # noqa: PTH111  (Path's raises where there is no home)


def read(path: Path) -> tuple[Entry, ...]:
    """The entries of a catalogue file. Raises `InputError`."""
    try:
        data = path.read_bytes()[: LARGEST_BYTES + 1]
    except OSError as exc:
        raise InputError(f"{str(path)!r} cannot be read: {exc.strerror or exc}") from exc
    if len(data) > LARGEST_BYTES:
        raise InputError(f"{str(path)!r} is larger than {LARGEST_BYTES >> 10} KiB, which no catalogue is")
    try:
        found = msgspec.convert(parse(data.decode("utf-8"), str(path)), Catalogue).models
    except (msgspec.ValidationError, UnicodeDecodeError) as exc:
        raise InputError(f"{str(path)!r} is no catalogue: {str(exc).replace('`', chr(39))}") from exc
    _ensure_plain(found, path)
    return found


def _ensure_plain(found: Sequence[Entry], path: Path) -> None:
    names = [entry.name for entry in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{str(path)!r} names {twice!r} twice")
    for entry in found:
        if not entry.name or Path(entry.name).name != entry.name or entry.name.startswith("."):
            raise InputError(f"{str(path)!r}: {entry.name!r} is no name of a folder")
        if entry.url and not entry.url.startswith(("https://", "http://", "file:")):
            raise InputError(f"{str(path)!r}: {entry.url!r} is no address to fetch from")
        if entry.sha256 and (len(entry.sha256) != 64 or set(entry.sha256) - set("0123456789abcdef")):
            raise InputError(f"{str(path)!r}: {entry.name}: {entry.sha256!r} is no SHA-256")


def add(entry: Entry) -> Path:
    """Put an entry into a person's own catalogue, in place of one of the same name; the catalogue's path."""
    own = own_file()
    known = {one.name: one for one in (read(own) if own.is_file() else ())}
    known[entry.name] = entry
    plain = {"models": [msgspec.to_builtins(one) for one in known.values()]}
    write_atomically(own, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode())
    return own


def _config() -> Path:
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(os.path.expanduser(config)) / "edgekit"  # noqa: PTH111  (Path's raises where there is no home)
