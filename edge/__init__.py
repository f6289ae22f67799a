"""edgekit: convert a trained model once, prove it, and run it on any edge device."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.bench import bench as bench
    from edgekit.conversion import convert as convert
    from edgekit.load import load as load

__version__ = "0.1.0"
__all__ = ["__version__", "bench", "convert", "load"]

_FACE = {"convert": "edgekit.conversion", "load": "edgekit.load", "bench": "edgekit.bench"}


def __getattr__(name: str) -> Any:
    """The Python face, imported on first use so that `import edgekit` costs nothing."""
    if name in _FACE:
        return getattr(import_module(_FACE[name]), name)
    raise AttributeError(f"module 'edgekit' has no attribute {name!r}")


class _Face(ModuleType):
    """`edgekit.load` is the function whichever module was imported first: importing `edgekit.load` must not hide it."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _FACE or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face

if __name__ != "edgekit":
    raise ImportError(f"import 'edgekit', not {__name__!r} (from a checkout: pip install -e .)")
