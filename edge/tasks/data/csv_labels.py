"""Pictures whose classes stand in a CSV file: a column of file names and one of labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgekit.core.errors import InputError
from edgekit.core.files import sha256_bytes, sha256_file
from edgekit.tasks.data.picture_files import hash_of_files
from edgekit.tasks.data.samples import Sample
from edgekit.tasks.pictures.images import SUFFIXES, read_image

FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_path", "img", "path", "filepath", "picture")
LABEL_COLUMNS = ("label", "class", "class_name", "category", "target", "class_id", "y")
SEPARATORS = ",;\t"
LIMIT_BYTES = 256 << 20
HINT = "write lines such as  cat/1.png,cat  under the heading  file,label"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvDataset:
    """Pictures in the order of the file, each with one class; `labels` are the classes' names in order."""

    csv_path: Path
    folder: Path
    paths: tuple[Path, ...]
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    task: Literal["classification"] = "classification"

    @property
    def sha256(self) -> str:
        return sha256_bytes((sha256_file(self.csv_path) + hash_of_files(self.folder, self.paths)).encode())

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Sample]:
        ids = {label: index for index, label in enumerate(self.labels)}
        for path, name in zip(self.paths, self.classes, strict=True):
            yield Sample(name=path.name, image=read_image(path), class_ids=np.array([ids[name]], dtype=np.int64))


def find_csv(path: Path) -> Path | None:
    """The CSV file of labels at `path`: itself, or in a folder `labels.csv`, else the only CSV that names pictures."""
    if path.is_file():
        return path if path.suffix.lower() in (".csv", ".tsv") else None
    usual = path / "labels.csv"
    if usual.is_file():
        return usual
    fitting = [file for file in sorted(path.glob("*.csv")) if _columns(_rows(file)) is not None]
    if len(fitting) > 1:
        raise InputError(f"{str(path)!r} holds several CSV files: {', '.join(f.name for f in fitting)}", "name the one to use")
    return fitting[0] if fitting else None


def open_csv(csv_path: Path) -> CsvDataset:
    """The pictures that a CSV file labels; they lie beside it or in `images/`.

    The heading names a column of files and one of labels; without heading there are just these two, in this order. Raises
    `InputError` when the columns are not found, a line lacks one, or a picture is missing or leads out of the folder.
    """
    rows = _rows(csv_path)
    columns = _columns(rows)
    if columns is None:
        heading = ", ".join(rows[0]) if rows else "nothing"
        raise InputError(f"{str(csv_path)!r} starts with {heading}: no column of files and one of labels", HINT)
    file, label, start = columns
    pairs = [_pair(csv_path, number, row, file, label) for number, row in enumerate(rows[start:], start=start + 1)]
    if not pairs:
        raise InputError(f"{str(csv_path)!r} labels no pictures", HINT)
    folder = _folder(csv_path, [name for name, _ in pairs])
    return CsvDataset(
        csv_path=csv_path,
        folder=folder,
        paths=tuple(folder / name for name, _ in pairs),
        classes=tuple(name for _, name in pairs),
        labels=tuple(sorted({name for _, name in pairs})),
    )


def _rows(path: Path) -> list[list[str]]:
    """Every line that is not blank, cells without blanks around them."""
    if path.stat().st_size > LIMIT_BYTES:
        raise InputError(f"{str(path)!r} is {path.stat().st_size} bytes, the limit is {LIMIT_BYTES}", "split it")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        first = text.partition("\n")[0]
        separator = max(SEPARATORS, key=first.count)
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)]
    except (UnicodeDecodeError, csv.Error) as exc:
        raise InputError(f"{str(path)!r} is not a CSV file: {exc}", "save it as CSV in UTF-8") from exc
    return [row for row in rows if any(row)]


def _columns(rows: Sequence[Sequence[str]]) -> tuple[int, int, int] | None:
    """Where files and labels stand, and the first line of data; None when that cannot be told."""
    if not rows:
        return None
    heading = [cell.casefold() for cell in rows[0]]
    file = next((heading.index(name) for name in FILE_COLUMNS if name in heading), None)
    label = next((heading.index(name) for name in LABEL_COLUMNS if name in heading), None)
    if file is not None and label is not None:
        return file, label, 1
    bare = len(heading) == 2 and Path(rows[0][0]).suffix.lower() in SUFFIXES
    return (0, 1, 0) if bare else None


def _pair(path: Path, number: int, row: Sequence[str], file: int, label: int) -> tuple[str, str]:
    if len(row) <= max(file, label) or not row[file] or not row[label]:
        raise InputError(f"{str(path)!r}, line {number} has no file or no label: {', '.join(row)}", HINT)
    name = row[file]
    if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise InputError(f"picture {name!r} leads out of the data set's folder", "use names inside it")
    return name, row[label]


def _folder(csv_path: Path, names: Sequence[str]) -> Path:
    """Beside the file or in `images/`, whichever holds every picture."""
    beside = csv_path.parent
    missing = {folder: [name for name in names if not (folder / name).is_file()] for folder in (beside, beside / "images")}
    folder, gone = min(missing.items(), key=lambda entry: len(entry[1]))
    if gone:
        shown = ", ".join(gone[:3]) + (", …" if len(gone) > 3 else "")
        raise InputError(f"{len(gone)} of {len(names)} pictures are missing in {str(folder)!r}: {shown}", HINT)
    return folder
