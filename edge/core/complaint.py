"""How the profile rules say what is wrong, and walk over what they check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from edgekit.core.errors import ProfileError
from edgekit.core.schema import Device

T = TypeVar("T")


def broken(device: Device, key: str, problem: str, hint: str = "") -> ProfileError:
    """The error that names the profile, the key in it and what is wrong there."""
    return ProfileError(f"profile {device.name!r}: {key}: {problem}", hint)


def numbered(key: str, values: Iterable[T]) -> Iterator[tuple[str, T]]:
    """`("engines[0]", first), ("engines[1]", second), ...`."""
    return ((f"{key}[{index}]", value) for index, value in enumerate(values))


def repeated(values: Iterable[str]) -> Iterator[str]:
    """The values that came before."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            yield value
        seen.add(value)
