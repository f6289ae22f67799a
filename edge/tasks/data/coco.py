"""COCO JSON: pictures, categories and boxes (https://cocodataset.org/#format-data, object detection)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from edgekit.core.errors import InputError
from edgekit.core.files import sha256_bytes, sha256_file
from edgekit.tasks.data.picture_files import hash_of_files
from edgekit.tasks.data.samples import Sample
from edgekit.tasks.pictures.images import read_image

JSON_LIMIT_BYTES = 1 << 30
EDGE_TOLERANCE_PIXELS = 2.0
"""Boxes of the official files reach over the edge by rounding; more than this is an error in the file."""


class Category(msgspec.Struct, frozen=True):
    """A class; ids need not be consecutive."""

    id: int
    name: str


class Picture(msgspec.Struct, frozen=True):
    """One picture and its size in pixels."""

    id: int
    file_name: str
    width: int
    height: int


class Annotation(msgspec.Struct, frozen=True):
    """A box (x, y, width, height in pixels) of a category in a picture."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0


class Instances(msgspec.Struct, frozen=True):
    """The parts of the file that are read; the others (licences, masks) are passed over."""

    images: list[Picture]
    annotations: list[Annotation]
    categories: list[Category]


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoDataset:
    """Pictures with boxes; `labels` are the category names in the order of their ids."""

    json_path: Path
    folder: Path
    instances: Instances
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    task: Literal["detection"] = "detection"

    @property
    def sha256(self) -> str:
        pictures = tuple(self.folder / picture.file_name for picture in self.instances.images)
        return sha256_bytes((sha256_file(self.json_path) + hash_of_files(self.folder, pictures)).encode())

    def __len__(self) -> int:
        return len(self.instances.images)

    def __iter__(self) -> Iterator[Sample]:
        ids = {category.id: index for index, category in enumerate(_sorted(self.instances.categories))}
        by_picture: dict[int, list[Annotation]] = {}
        for annotation in self.instances.annotations:
            by_picture.setdefault(annotation.image_id, []).append(annotation)
        for picture in self.instances.images:
            yield _sample(self.folder / picture.file_name, picture, by_picture.get(picture.id, ()), ids)


def find_json(path: Path) -> Path | None:
    """The COCO file at `path`: itself, or the one in the folder or its `annotations/` that holds pictures and boxes.

    Of several the one called `instances*` is taken. Raises `InputError` when that does not leave exactly one.
    """
    if path.is_file():
        return path if path.suffix.lower() == ".json" else None
    usual = path / "instances.json"
    if usual.is_file():
        return usual
    found = [file for folder in (path, path / "annotations") for file in sorted(folder.glob("*.json"))]
    fitting = [file for file in found if _looks_like_coco(file)]
    instances = [file for file in fitting if file.name.startswith("instances")]
    if len(instances or fitting) > 1:
        names = ", ".join(file.name for file in instances or fitting)
        raise InputError(f"{str(path)!r} holds several COCO files: {names}", "name the one to use")
    return next(iter(instances or fitting), None)


def open_coco(json_path: Path) -> CocoDataset:
    """The data set of a COCO file whose pictures lie beside it or in a folder as COCO names it (see `_folders`).

    Raises `InputError` for a file that is not COCO JSON, pictures that are missing, boxes outside their picture and ids that
    nothing has.
    """
    instances = _parsed(json_path)
    folder = _folder_of_pictures(_folders(json_path), instances.images)
    _check_ids(json_path, instances)
    _check_boxes(json_path, instances)
    labels = tuple(category.name for category in _sorted(instances.categories))
    return CocoDataset(json_path=json_path, folder=folder, instances=instances, labels=labels)


def _sorted(categories: Sequence[Category]) -> list[Category]:
    return sorted(categories, key=lambda category: category.id)


def _sample(path: Path, picture: Picture, annotations: Sequence[Annotation], ids: Mapping[int, int]) -> Sample:
    image = read_image(path)
    if image.shape[:2] != (picture.height, picture.width):
        raise InputError(
            f"{str(path)!r} is {image.shape[1]} x {image.shape[0]} pixels, its entry says {picture.width} x {picture.height}",
            "were the pictures resized or turned after they were labelled?",
        )
    corners = np.array([annotation.bbox for annotation in annotations], dtype=np.float32).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return Sample(
        name=picture.file_name,
        image=image,
        class_ids=np.array([ids[annotation.category_id] for annotation in annotations], dtype=np.int64),
        boxes=corners,
        crowd=np.array([annotation.iscrowd != 0 for annotation in annotations], dtype=np.bool_),
    )


def _looks_like_coco(path: Path) -> bool:
    try:
        _parsed(path)
    except InputError:
        return False
    return True


def _parsed(path: Path) -> Instances:
    if path.stat().st_size > JSON_LIMIT_BYTES:
        raise InputError(f"{str(path)!r} is {path.stat().st_size} bytes, the limit is {JSON_LIMIT_BYTES}", "split it")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Instances)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError(
            f"{str(path)!r} is not COCO JSON with images, annotations and categories: {exc}", "is it the right file?"
        ) from exc


def _folders(json_path: Path) -> tuple[Path, ...]:
    """Where pictures may lie: beside the file, in `images/`, or (for `instances_val2017.json`) in `val2017/`.

    The last two also beside the file's own folder, because COCO keeps its JSON files in `annotations/`.
    """
    beside, split = json_path.parent, json_path.stem.rpartition("_")[2]
    return (beside, *(base / name for base in (beside, beside.parent) for name in ("images", split)))


def _folder_of_pictures(folders: Sequence[Path], pictures: Sequence[Picture]) -> Path:
    """The folder that holds every picture; names that lead out of it are refused."""
    for picture in pictures:
        parts = Path(picture.file_name)
        if parts.is_absolute() or ".." in parts.parts:
            raise InputError(f"picture {picture.file_name!r} leads out of the data set's folder", "use names inside it")
    missing = {
        folder: [picture.file_name for picture in pictures if not (folder / picture.file_name).is_file()] for folder in folders
    }
    folder, names = min(missing.items(), key=lambda entry: len(entry[1]))
    if names:
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        raise InputError(
            f"{len(names)} of {len(pictures)} pictures are missing in {str(folder)!r}: {shown}",
            "put the pictures beside the JSON file or in images/ beside it",
        )
    return folder


def _check_ids(path: Path, instances: Instances) -> None:
    pictures = _unique(path, "picture", [picture.id for picture in instances.images])
    categories = _unique(path, "category", [category.id for category in instances.categories])
    _unique(path, "category name", [category.name for category in instances.categories])
    if not pictures:
        raise InputError(f"{str(path)!r} lists no pictures", "is it the right file?")
    for annotation in instances.annotations:
        if annotation.category_id not in categories:
            raise InputError(f"{str(path)!r}: a box has category {annotation.category_id}, which is not among the categories")
        if annotation.image_id not in pictures:
            raise InputError(f"{str(path)!r}: a box belongs to picture {annotation.image_id}, which is not among the images")


def _unique(path: Path, what: str, values: Sequence[int | str]) -> set[int | str]:
    value, count = Counter(values).most_common(1)[0] if values else ("", 0)
    if count > 1:
        raise InputError(f"{str(path)!r}: the {what} {value!r} is listed {count} times", "each must be listed once")
    return set(values)


def _check_boxes(path: Path, instances: Instances) -> None:
    sizes = {picture.id: (picture.width, picture.height) for picture in instances.images}
    for annotation in instances.annotations:
        x, y, width, height = annotation.bbox
        right, bottom = sizes[annotation.image_id]
        slack = EDGE_TOLERANCE_PIXELS
        inside = x >= -slack and y >= -slack and x + width <= right + slack and y + height <= bottom + slack
        if width < 0 or height < 0 or not inside:
            raise InputError(
                f"{str(path)!r}: the box {list(annotation.bbox)} lies outside its picture of {right} x {bottom} pixels",
                "boxes are x, y, width, height in pixels",
            )
