"""edgekit: convert a trained model once, prove it, and run it on any edge device."""

from __future__ import annotations

# `typing` itself would be most of what `import edgekit` costs; type checkers know this name without it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edgekit.benchmark import bench as bench
    from edgekit.conversion import convert as convert
    from edgekit.loading import load as load

__version__ = "0.1.0"
__all__ = ["__version__", "bench", "convert", "load"]

# No module is called like its function: importing `edgekit.load` would put the module where the function belongs.
_FACE = {"bench": "edgekit.benchmark", "convert": "edgekit.conversion", "load": "edgekit.loading"}


def __getattr__(name: str) -> Any:
    """The Python face, imported on first use so that `import edgekit` costs nothing."""
    if name in _FACE:
        from importlib import import_module

        return getattr(import_module(_FACE[name]), name)
    raise AttributeError(f"module 'edgekit' has no attribute {name!r}")


if __name__ != "edgekit":
    raise ImportError(f"import 'edgekit', not {__name__!r} (from a checkout: pip install -e .)")
