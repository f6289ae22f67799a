"""Names of classes: lists that come with edgekit, and what unnamed classes are called."""

from __future__ import annotations

from importlib.resources import files

COCO80 = "coco80"


def read_labels(name: str) -> tuple[str, ...]:
    """The list `name`.txt of this folder, one label a line."""
    return tuple(files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8").split("\n")[:-1])


def default_labels(count: int) -> tuple[str, ...]:
    """The 80 COCO names in their usual order when there are 80 classes, else `class 0`, `class 1`, ..."""
    return read_labels(COCO80) if count == 80 else tuple(f"class {index}" for index in range(count))


def is_unnamed(labels: tuple[str, ...]) -> bool:
    """Whether these are stand-ins made by `default_labels` rather than names."""
    return labels == tuple(f"class {index}" for index in range(len(labels)))
