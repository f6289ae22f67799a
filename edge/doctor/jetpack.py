"""Which JetPack a Jetson Linux release is, and the TensorRT that comes with it: a table beside this file, with its sources."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

from edgekit.core.strict_yaml import parse


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of NVIDIA's releases; `l4t` is the beginning of the Jetson Linux numbers it covers."""

    l4t: str
    jetpack: str
    tensorrt: str
    source: str


def release(l4t: str) -> Release | None:
    """The release that `36.4.3` belongs to, or None when the table does not have it."""
    return next((each for each in reversed(releases()) if f"{l4t}.".startswith(f"{each.l4t}.")), None)


@cache
def releases() -> tuple[Release, ...]:
    """The table, oldest first."""
    text = files("edgekit.doctor").joinpath("jetpack.yaml").read_text("utf-8")
    return msgspec.convert(parse(text, "jetpack.yaml"), tuple[Release, ...])
