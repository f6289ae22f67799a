"""Labelled data in the forms people have it: a folder per class, MNIST's idx files, COCO JSON."""

from __future__ import annotations

from pathlib import Path

from edgekit.core.errors import InputError, NotFound
from edgekit.tasks.coco import find_json, open_coco
from edgekit.tasks.image_folder import open_image_folder
from edgekit.tasks.mnist import idx_images, open_pair
from edgekit.tasks.samples import Dataset, Sample

__all__ = ["Dataset", "Sample", "open_dataset"]


def open_dataset(path: Path | str) -> Dataset:
    """The labelled data at `path`, recognised by what lies there.

    A folder or file with idx pictures and labels, a COCO JSON file or the folder that holds it, or a folder with one folder
    of pictures per class. Everything but the pictures is checked here; pictures are read while iterating. Raises `NotFound`
    when there is nothing at `path` and `InputError` when it is none of these or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(f"no data at {str(path)!r}", "is the path right?")
    if idx_images(path):
        return open_pair(path)
    found = find_json(path)
    if found is not None:
        return open_coco(found)
    if path.is_file():
        raise InputError(
            f"{str(path)!r} is not labelled data", "give a folder with one folder per class, MNIST idx files, or COCO JSON"
        )
    return open_image_folder(path)
