"""`edgekit.bench(...)`: a module that is called like the function it is named after.

Python sets `edgekit.bench` to the module `edgekit.bench` whenever that is imported, and a module cannot be called. With
this, the module and the function are the same thing to a caller, in whatever order things are imported.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A module whose call is a call of the function in it that has the module's own last name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


def make_callable(module_name: str) -> None:
    """Let the module of that name (call it with `__name__`) be called."""
    sys.modules[module_name].__class__ = CallableModule
