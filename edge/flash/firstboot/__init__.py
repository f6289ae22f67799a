"""The formats in which images take first-boot settings, one file each; the file's name is what `--first-boot` takes.

Which one an image understands is not in the image: it stands in its maker's catalogue, or the person says it. A module has
`HELP`, `RUNS_COMMANDS` (whether it can install an app) and `boot_files(settings, install_script, stamp) -> BootFiles`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from edgekit.core.errors import NotFound, Unsupported
from edgekit.core.names import did_you_mean
from edgekit.flash.settings import Settings

BOOT = "/boot/firmware"
"""Where Raspberry Pi OS since Bookworm, and Ubuntu, mount the boot partition."""

APP_FOLDER = "edgekit"
"""Of the boot partition: everything of ours lies in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFiles:
    """What a format writes: files and links by their path in the partition, and words to append to `cmdline.txt`.

    `partition` is the name of one with ext4; without it, it is the FAT partition that the board boots from. An app's files go to `app_folder`.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    cmdline: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    partition: str = ""
    app_folder: str = APP_FOLDER


def formats() -> tuple[str, ...]:
    """Names of all formats."""
    return tuple(sorted(info.name for info in iter_modules(__path__) if not info.name.startswith("_")))


def boot_files(name: str, settings: Settings, *, install_script: str = "", stamp: str) -> BootFiles:
    """The files of format `name`, which run `install_script` of `app_folder` where there is one.

    `stamp` is unique for each flash, so that a board notices that it is a new one.

    Raises `NotFound` for an unknown format, `Unsupported` when it cannot do what the settings ask.
    """
    if name not in formats():
        raise NotFound(
            f"no first-boot format called {name!r}", did_you_mean(name, formats(), f"there are: {', '.join(formats())}")
        )
    module: Any = import_module(f"{__name__}.{name}")
    if install_script and not module.RUNS_COMMANDS:
        raise Unsupported(f"the first-boot format {name!r} runs no commands, so it cannot install an app", "leave out --app")
    made: BootFiles = module.boot_files(settings, install_script, stamp)
    return made


def toml_text(value: str) -> str:
    """`value` as a TOML basic string: JSON's escapes are TOML's, but for DEL (https://toml.io/en/v1.0.0#string)."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
