"""What an image's maker says of it, from the catalogue that Raspberry Pi Imager reads (os_list_imagingutility_v4.json).

How an image takes first-boot settings is not in the image. It stands here, and is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from edgekit.core.errors import InputError, NotFound, Unsupported

LIMIT_BYTES = 32 << 20
_DEPTH = 8
FORMATS = {"systemd": "firstrun", "cloudinit": "cloudinit", "cloudinit-rpi": "cloudinit_rpi", "rpi-preseed": "rpi_preseed"}
"""Imager's names of the first-boot formats, and ours."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One image of the catalogue; other keys are left alone, since the list is not ours."""

    name: str
    url: str
    init_format: str = ""
    image_download_sha256: str = ""
    extract_sha256: str = ""
    extract_size: int = 0
    release_date: str = ""

    @property
    def file_name(self) -> str:
        """The file's name at the end of its address."""
        return urlsplit(self.url).path.rpartition("/")[2]

    @property
    def first_boot(self) -> str:
        """Our name of its first-boot format. Raises `Unsupported` where the maker names none, or one nobody knows yet."""
        if self.init_format not in FORMATS:
            raise Unsupported(
                f"{self.name!r} takes no first-boot settings that edgekit knows (init_format {self.init_format or 'none'!r})",
                "flash it without settings, or name the format with --first-boot",
            )
        return FORMATS[self.init_format]


def read(path: Path) -> tuple[Entry, ...]:
    """All images of a catalogue, those in sub-lists included. Raises `NotFound` and `InputError`."""
    if not path.is_file():
        raise NotFound(f"no catalogue at {str(path)!r}", "https://downloads.raspberrypi.com/os_list_imagingutility_v4.json")
    if path.stat().st_size > LIMIT_BYTES:
        raise InputError(f"{str(path)!r} is larger than a catalogue can be ({LIMIT_BYTES} bytes)")
    try:
        listed = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])["os_list"]
        return tuple(msgspec.convert(each, Entry) for each in _images(listed, 0))
    except (msgspec.DecodeError, KeyError, TypeError, RecursionError) as exc:
        raise InputError(f"{str(path)!r} is not Raspberry Pi Imager's catalogue: {exc}", "download it again") from exc


def find(entries: tuple[Entry, ...], image: Path) -> Entry:
    """The entry of an image file, by its name. Raises `NotFound`; the hash is compared while the image is written."""
    found = next((entry for entry in entries if entry.file_name == image.name), None)
    if found is None:
        raise NotFound(
            f"the catalogue knows no image called {image.name!r}",
            "keep the name it was downloaded under, or --first-boot FORMAT",
        )
    return found


def _images(listed: list[Any], depth: int) -> Iterator[dict[str, Any]]:
    for entry in listed:
        if "subitems" in entry and depth < _DEPTH:
            yield from _images(entry["subitems"], depth + 1)
        elif "url" in entry:
            yield entry
