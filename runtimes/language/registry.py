"""Which language engines there are: one file each in this folder. Imports none of them until one is asked for."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from edgekit.core.errors import NotFound
from edgekit.core.names import did_you_mean
from edgekit.runtimes import language
from edgekit.runtimes.text import TextRuntime

NOT_ENGINES = frozenset({"opening", "registry", "stops", "supervised"})


def names() -> tuple[str, ...]:
    """Names of the engines that ship with edgekit, in alphabetical order."""
    found = (info.name for info in iter_modules(language.__path__))
    return tuple(sorted(name for name in found if name not in NOT_ENGINES and not name.startswith("_")))


def get(name: str) -> TextRuntime:
    """The engine of that name. Raises `NotFound` with the nearest one."""
    known = names()
    if name not in known:
        raise NotFound(f"no language engine named {name!r}", did_you_mean(name, known, f"the engines are {', '.join(known)}"))
    found: TextRuntime = import_module(f"{language.__name__}.{name}").runtime
    return found
