"""Which runtimes there are: one file each in this folder, and what other packages offer as `edgekit.runtimes`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules

from edgekit import runtimes
from edgekit.core.errors import MissingDependency, NotFound, UsageError
from edgekit.core.names import did_you_mean
from edgekit.runtimes.base import Placeable, Runtime, Session

GROUP = "edgekit.runtimes"
AT = "@"
NOT_RUNTIMES = frozenset({"base", "face", "machine", "registry", "text"})


def names() -> tuple[str, ...]:
    """Names of all runtimes, in alphabetical order. Imports none of them."""
    return tuple(sorted({*built_in(), *_offered()}))


@cache
def built_in() -> tuple[str, ...]:
    """Names of the runtimes that ship with edgekit: the file names in its `runtimes` folder, whose folders are other things."""
    found = (info.name for info in iter_modules(runtimes.__path__) if not info.ispkg)
    return tuple(sorted(name for name in found if name not in NOT_RUNTIMES and not name.startswith("_")))


def get(name: str) -> Runtime[Session]:
    """The runtime of that name; `NAME@DEVICE` is the runtime NAME on that device, where it can choose one.

    Raises `NotFound`, `UsageError` for a device that cannot be, `MissingDependency` when another package's does not load.
    """
    if AT in name:
        return _on_device(*name.split(AT, 1))
    if name in built_in():
        found: Runtime[Session] = import_module(f"edgekit.runtimes.{name}").runtime
        return found
    offered = _offered()
    if name in offered:
        return _loaded(offered[name])
    known = names()
    raise NotFound(f"no runtime named {name!r}", did_you_mean(name, known, f"the runtimes are {', '.join(known)}"))


def _on_device(name: str, device: str) -> Runtime[Session]:
    runtime = get(name)
    if not isinstance(runtime, Placeable):
        raise UsageError(f"runtime {name!r} does not choose among devices", f"say {name!r} alone")
    return runtime.on(device)


def _offered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _loaded(point: EntryPoint) -> Runtime[Session]:
    """The object another package's entry point names."""
    try:
        found: Runtime[Session] = point.load()
    except Exception as exc:
        # Anything may go wrong while someone else's module is imported; it must not take edgekit down.
        raise MissingDependency(f"runtime {point.name!r} ({point.value}) does not load: {exc}", "edgekit doctor") from exc
    return found
