"""Data to judge a model on, in the forms people have it: labelled arrays and pictures, or pictures alone."""

from __future__ import annotations

from pathlib import Path

from edgekit.core.errors import InputError, NotFound
from edgekit.tasks.data.coco import find_json, open_coco
from edgekit.tasks.data.csv_labels import find_csv, open_csv
from edgekit.tasks.data.image_folder import has_classes, open_image_folder
from edgekit.tasks.data.mnist import idx_images, open_pair
from edgekit.tasks.data.npz import open_npz
from edgekit.tasks.data.samples import Dataset, Sample
from edgekit.tasks.data.unlabelled import open_pictures

__all__ = ["Dataset", "Sample", "open_dataset"]

FORMS = "a folder with one folder per class, MNIST idx files, COCO JSON, a CSV of files and labels, or an .npz of features and labels"


def open_dataset(path: Path | str) -> Dataset:
    """The data at `path`, recognised by what lies there.

    Idx pictures and labels, COCO JSON, an `.npz` of features and labels, a CSV of files and labels (or a folder with one of
    these), or a folder with one folder of pictures per class. A folder with pictures and nothing else is unlabelled data.
    Everything but the pictures is checked here; pictures are read while iterating. Raises `NotFound` when there is nothing at
    `path` and `InputError` when it is none of these or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(f"no data at {str(path)!r}", "is the path right?")
    if idx_images(path):
        return open_pair(path)
    if (archive := _find_npz(path)) is not None:
        return open_npz(archive)
    if (found := find_json(path)) is not None:
        return open_coco(found)
    if (table := find_csv(path)) is not None:
        return open_csv(table)
    if path.is_file():
        raise InputError(f"{str(path)!r} is not labelled data", f"give {FORMS}")
    return open_image_folder(path) if has_classes(path) else open_pictures(path)


def _find_npz(path: Path) -> Path | None:
    """The archive at `path`: itself, or the only one in the folder."""
    if path.is_file():
        return path if path.suffix.lower() == ".npz" else None
    found = sorted(path.glob("*.npz"))
    if len(found) > 1:
        raise InputError(f"{str(path)!r} holds several archives: {', '.join(f.name for f in found)}", "name the one to use")
    return found[0] if found else None
