"""Labelled data is recognised by what lies there, streamed, hashed, and distrusted."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.core.errors import EdgekitError, InputError, NotFound
from edgekit.tasks.data.datasets import open_dataset
from edgekit.tasks.data.idx import open_idx


def paint(path: Path, size: tuple[int, int] = (8, 6), value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)
    return path


def idx(*axes: int, values: bytes | None = None, magic: int | None = None) -> bytes:
    header = struct.pack(f">I{len(axes)}I", 0x0800 | len(axes) if magic is None else magic, *axes)
    return header + (bytes(int(np.prod(axes))) if values is None else values)


def write_pair(folder: Path, prefix: str = "t10k-", count: int = 3, *, packed: bool = False) -> None:
    pixels = bytes(i % 256 for i in range(count * 4))
    for kind, data in (
        ("images-idx3", idx(count, 2, 2, values=pixels)),
        ("labels-idx1", idx(count, values=bytes(i % 10 for i in range(count)))),
    ):
        name = f"{prefix}{kind}-ubyte" + (".gz" if packed else "")
        (folder / name).write_bytes(gzip.compress(data) if packed else data)


def coco(folder: Path, name: str = "instances.json", **changes: Any) -> Path:
    """A COCO file with two pictures, two categories (ids 7 and 3) and three boxes; `changes` replace whole lists."""
    content = {
        "info": {"year": 2026},
        "images": [
            {"id": 1, "file_name": "a.png", "width": 8, "height": 6, "license": 4},
            {"id": 2, "file_name": "b.png", "width": 8, "height": 6},
        ],
        "categories": [{"id": 7, "name": "dog", "supercategory": "animal"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4], "iscrowd": 0, "area": 12, "segmentation": []},
            {"id": 2, "image_id": 1, "category_id": 3, "bbox": [0.5, 0, 2.5, 1], "iscrowd": 1},
            {"id": 3, "image_id": 2, "category_id": 3, "bbox": [0, 0, 8, 6]},
        ],
        **changes,
    }
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def test_a_folder_per_class_gives_pictures_labelled_by_their_folder(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/more/2.png", "apple/3.png"):
        paint(tmp_path / name)
    data = open_dataset(tmp_path)
    assert (data.task, data.labels, len(data)) == ("classification", ("apple", "cat"), 3)
    assert [(sample.name, sample.class_ids.tolist()) for sample in data] == [
        ("apple/3.png", [0]),
        ("cat/1.png", [1]),
        ("cat/more/2.png", [1]),
    ]


def test_pictures_without_a_class_and_other_files_are_left_out_aloud(tmp_path: Path) -> None:
    for name in ("cat/1.png", "loose.png"):
        paint(tmp_path / name)
    (tmp_path / "cat" / "notes.txt").touch()
    data = open_dataset(tmp_path)
    assert len(data) == 1
    assert data.notes == ("left out: 1 pictures without a class folder", "passed over: 1 files that are not pictures")


def test_a_flat_folder_of_pictures_has_no_labels(tmp_path: Path) -> None:
    paint(tmp_path / "a.png")
    data = open_dataset(tmp_path)
    assert (data.task, data.labels, len(data)) == ("unlabelled", (), 1)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_an_idx_pair_gives_gray_pictures_and_digits(tmp_path: Path, packed: bool) -> None:
    write_pair(tmp_path, packed=packed)
    for path in (tmp_path, next(tmp_path.glob("*images*"))):
        data = open_dataset(path)
        assert (data.task, data.labels, len(data), data.notes) == ("classification", ("0", "1", "2"), 3, ())
        samples = list(data)
        assert [sample.class_ids.tolist() for sample in samples] == [[0], [1], [2]]
        np.testing.assert_array_equal(samples[1].image[:, :, 2], [[4, 5], [6, 7]])
        assert samples[1].image.shape == (2, 2, 3)


def test_of_training_and_test_digits_the_test_digits_are_taken_aloud(tmp_path: Path) -> None:
    write_pair(tmp_path, "train-", 5)
    write_pair(tmp_path, "t10k-", 3)
    data = open_dataset(tmp_path)
    assert len(data) == 3
    assert data.notes == ("evaluated on t10k-images-idx3-ubyte; left aside: train-images-idx3-ubyte",)


def test_a_pair_without_a_prefix_is_a_pair_too(tmp_path: Path) -> None:
    write_pair(tmp_path, "")
    assert len(open_dataset(tmp_path)) == 3


def test_digits_without_labels_say_which_file_is_missing(tmp_path: Path) -> None:
    write_pair(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="has no labels beside it") as caught:
        open_dataset(tmp_path)
    assert "t10k-labels-idx1-ubyte" in caught.value.hint


def test_a_pair_of_different_lengths_is_refused_with_both(tmp_path: Path) -> None:
    write_pair(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(2))
    with pytest.raises(InputError, match=r"holds 3 pictures of 2 x 2 pixels, .* 2 labels"):
        open_dataset(tmp_path)


DAMAGED = {
    "empty": (b"", "ends too early"),
    "another magic": (idx(3, 2, 2, magic=0x0D03), "starts with 00 00 0d 03"),
    "labels instead of pictures": (idx(12), "starts with 00 00 08 01"),
    "a header cut off": (idx(3, 2, 2)[:9], "ends too early"),
    "pictures cut off": (idx(3, 2, 2)[:-1], "ends too early"),
    "more than promised": (idx(3, 2, 2) + b"x", "goes on after the 12 values"),
    "absurd sizes": (idx(3, 2, 2)[:4] + b"\xff" * 12, "too large to be true"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("title", DAMAGED)
def test_damaged_idx_files_are_told_apart(tmp_path: Path, title: str, packed: bool) -> None:
    data, message = DAMAGED[title]
    path = tmp_path / ("x.gz" if packed else "x")
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(InputError, match=message):
        open_idx(path, axes=3)


def test_packed_files_that_do_not_unpack_are_named(tmp_path: Path) -> None:
    whole = gzip.compress(idx(3, 2, 2))
    for data in (b"no gzip", whole[:-9], whole[:20] + b"!" + whole[21:]):
        (tmp_path / "x.gz").write_bytes(data)
        with pytest.raises(InputError, match=r"x\.gz"):
            open_idx(tmp_path / "x.gz", axes=3)


def test_unpacking_stops_where_the_header_says(tmp_path: Path) -> None:
    bomb = gzip.compress(idx(1, 1, 1) + bytes(64 << 20))
    assert len(bomb) < 1 << 20
    (tmp_path / "x.gz").write_bytes(bomb)
    with pytest.raises(InputError, match="goes on after the 1 values"):
        open_idx(tmp_path / "x.gz", axes=3)


@pytest.mark.parametrize("folder", ["", "images"], ids=["beside the JSON", "in images/"])
def test_coco_gives_boxes_by_corner_with_ids_in_the_order_of_the_categories(tmp_path: Path, folder: str) -> None:
    for name in ("a.png", "b.png"):
        paint(tmp_path / folder / name)
    json_path = coco(tmp_path)
    for path in (tmp_path, json_path):
        data = open_dataset(path)
        assert (data.task, data.labels, len(data)) == ("detection", ("cat", "dog"), 2)
        first, second = data
        assert first.boxes is not None and first.crowd is not None
        np.testing.assert_allclose(first.boxes, [[1, 2, 4, 6], [0.5, 0, 3, 1]])
        assert (first.class_ids.tolist(), first.crowd.tolist()) == ([1, 0], [False, True])
        assert second.class_ids.tolist() == [0]


@pytest.mark.parametrize("folder", ["val2017", "images"])
def test_the_folders_of_coco_itself_are_understood(tmp_path: Path, folder: str) -> None:
    for name in ("a.png", "b.png"):
        paint(tmp_path / folder / name)
    (tmp_path / "annotations").mkdir()
    json_path = coco(tmp_path / "annotations", "instances_val2017.json")
    coco(tmp_path / "annotations", "person_keypoints_val2017.json")
    (tmp_path / "annotations" / "captions_val2017.json").write_text('{"images": [], "annotations": [{"caption": "a"}]}')
    for path in (tmp_path, json_path):
        assert len(list(open_dataset(path))) == 2


def test_a_folder_is_opened_by_its_instances_or_its_only_coco_file(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        paint(tmp_path / name)
    (tmp_path / "settings.json").write_text("{}")
    only = coco(tmp_path, "val.json")
    assert len(open_dataset(tmp_path)) == 2
    coco(tmp_path, "train.json")
    with pytest.raises(InputError, match=r"several COCO files: train\.json, val\.json"):
        open_dataset(tmp_path)
    only.rename(tmp_path / "instances.json")
    assert len(open_dataset(tmp_path)) == 2


def test_a_picture_without_boxes_has_empty_columns(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        paint(tmp_path / name)
    (first, _) = open_dataset(coco(tmp_path, annotations=[]))
    assert first.boxes is not None and first.boxes.shape == (0, 4)


def box(**changes: Any) -> dict[str, Any]:
    return {"annotations": [{"image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4]} | changes]}


HOSTILE = {
    "a category nobody listed": (box(category_id=9), "has category 9, which is not among the categories"),
    "a picture nobody listed": (box(image_id=9), "belongs to picture 9, which is not among the images"),
    "a box beyond the right edge": (box(bbox=[4, 2, 10, 1]), r"lies outside its picture of 8 x 6 pixels"),
    "a box beyond the left edge": (box(bbox=[-9, 2, 3, 1]), r"lies outside its picture"),
    "a box of negative width": (box(bbox=[4, 2, -3, 1]), r"lies outside its picture"),
    "a box of three numbers": (box(bbox=[4, 2, 3]), r"not COCO JSON .* length"),
    "a box of words": (box(bbox=["a", 2, 3, 4]), r"not COCO JSON"),
    "no pictures": ({"images": [], "annotations": []}, "lists no pictures"),
    "categories missing": ({"categories": None}, r"not COCO JSON"),
    "two categories of one id": (
        {"categories": [{"id": 7, "name": "a"}, {"id": 7, "name": "b"}]},
        "category 7 is listed 2 times",
    ),
    "two categories of one name": (
        {"categories": [{"id": 7, "name": "a"}, {"id": 3, "name": "a"}]},
        "category name 'a' is listed 2 times",
    ),
    "a picture outside the folder": (
        {"images": [{"id": 1, "file_name": "../a.png", "width": 8, "height": 6}], "annotations": []},
        "leads out of the data set's folder",
    ),
    "a missing picture": (
        {"images": [{"id": 1, "file_name": "gone.png", "width": 8, "height": 6}], "annotations": []},
        r"1 of 1 pictures are missing in .*: gone\.png",
    ),
}


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_coco_files_are_told_apart(tmp_path: Path, title: str) -> None:
    changes, message = HOSTILE[title]
    for name in ("a.png", "b.png"):
        paint(tmp_path / name)
    with pytest.raises(InputError, match=message):
        open_dataset(coco(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"images": 3}', "[" * 100_000, "\xff"], ids=repr)
def test_other_json_is_not_coco(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="is not COCO JSON"):
        open_dataset(path)


def test_a_picture_of_another_size_than_labelled_is_refused(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", (6, 8))
    paint(tmp_path / "b.png")
    with pytest.raises(InputError, match="is 6 x 8 pixels, its entry says 8 x 6"):
        list(open_dataset(coco(tmp_path)))


def test_the_hash_follows_contents_and_names_but_not_the_place(tmp_path: Path) -> None:
    for place in ("one", "two"):
        paint(tmp_path / place / "cat" / "1.png")
    first, second = (open_dataset(tmp_path / place).sha256 for place in ("one", "two"))
    assert first == second
    paint(tmp_path / "two" / "cat" / "1.png", value=101)
    assert open_dataset(tmp_path / "two").sha256 != first


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no data at"):
        open_dataset(tmp_path / "missing")
    (tmp_path / "a.csv").write_text("1,2")
    for path in (tmp_path / "a.csv", tmp_path):
        with pytest.raises(EdgekitError) as caught:
            open_dataset(path)
        assert caught.value.hint
