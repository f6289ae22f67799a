"""Names of classes: lists that come with edgekit, and what unnamed classes are called."""

from __future__ import annotations

from importlib.resources import files

COCO80 = "coco80"
COCO_GAPS = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82)
"""Places in COCO's own numbering, from 0, of classes that were given up before the data was published."""


def read_labels(name: str) -> tuple[str, ...]:
    """The list `name`.txt of this folder, one label a line."""
    return tuple(files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8").split("\n")[:-1])


def default_labels(count: int) -> tuple[str, ...]:
    """The 80 COCO names in their usual order when there are 80 classes, else `class 0`, `class 1`, ..."""
    return read_labels(COCO80) if count == 80 else tuple(f"class {index}" for index in range(count))


def coco90() -> tuple[str, ...]:
    """The COCO names by COCO's own numbers, as TensorFlow's detectors count them: 90 places, ten of which have no class."""
    names = iter(read_labels(COCO80))
    return tuple(f"class {place}" if place in COCO_GAPS else next(names) for place in range(90))


def label_of(labels: tuple[str, ...], class_id: int) -> str:
    """The name of a class; of one beyond the names, as of a model that nobody named the classes of, its number."""
    return labels[class_id] if class_id < len(labels) else f"class {class_id}"


def is_unnamed(labels: tuple[str, ...]) -> bool:
    """Whether these are stand-ins made by `default_labels` rather than names."""
    return labels == tuple(f"class {index}" for index in range(len(labels)))
