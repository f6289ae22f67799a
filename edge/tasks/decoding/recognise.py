"""Which of the known heads a model ends in, told by the shapes of its inputs and outputs alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from edgekit.core.errors import Unsupported
from edgekit.core.names import did_you_mean
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks import heads


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> tuple[Preprocess, Postprocess] | None:
    """How this model's picture is prepared and its outputs read, or None when no known head fits.

    Shapes must be static and the batch 1. Names are never looked at, neither the file's nor the tensors'.
    """
    answers = (head(name).recognise(inputs, outputs) for name in head_names())
    return next((answer for answer in answers if answer is not None), None)


@cache
def head_names() -> tuple[str, ...]:
    """Names of all heads, in alphabetical order."""
    return tuple(sorted(info.name for info in iter_modules(heads.__path__)))


def has_masks(name: str) -> bool:
    """Whether that head finds shapes, too. Raises as `head` does."""
    return bool(getattr(head(name), "MASKS", False))


def head(name: str) -> ModuleType:
    """The file of that head. Raises `Unsupported` when there is none."""
    if name not in head_names():
        raise Unsupported(f"no head named {name!r}", did_you_mean(name, head_names(), f"known: {', '.join(head_names())}"))
    return import_module(f"{heads.__name__}.{name}")
