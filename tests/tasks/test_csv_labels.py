"""Pictures whose classes stand in a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.core.errors import InputError
from edgekit.tasks.data.datasets import open_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures of different gray, one of them deeper down."""
    for name, value in (("a.png", 10), ("b.png", 20), ("more/c.png", 30)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6), (value,) * 3).save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "file,label\na.png,dog\nb.png,cat\nmore/c.png,dog\n",
        "\ufeffid;Filename;Class\r\n1;a.png;dog\r\n2;b.png;cat\r\n\r\n3;more/c.png;dog\r\n",
        "a.png\tdog\nb.png\tcat\nmore/c.png\tdog",
        'label,path\ndog,"a.png"\n cat , b.png\ndog,more/c.png',
    ],
    ids=["commas", "semicolons, a byte order mark and Windows", "tabs and no heading", "quotes and blanks"],
)
def test_tables_are_read_as_people_write_them(folder: Path, text: str) -> None:
    (folder / "labels.csv").write_bytes(text.encode())
    for path in (folder, folder / "labels.csv"):
        data = open_dataset(path)
        assert (data.task, data.labels, len(data), len(data.sha256)) == ("classification", ("cat", "dog"), 3, 64)
        found = [(data.labels[sample.class_ids[0]], int(np.asarray(sample.image)[0, 0, 0])) for sample in data]
        assert found == [("dog", 10), ("cat", 20), ("dog", 30)]


def test_pictures_may_lie_in_a_folder_of_their_own(folder: Path) -> None:
    (folder / "table").mkdir()
    (folder / "more").rename(folder / "table" / "images")
    (folder / "table" / "truth.csv").write_text("image,category\nc.png,dog\n")
    assert len(open_dataset(folder / "table")) == 1


def test_a_table_that_names_no_pictures_does_not_count(folder: Path) -> None:
    (folder / "attribution.csv").write_text("author,licence\nme,CC0\n")
    assert open_dataset(folder / "more").task == "unlabelled"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("who,what\na,b\n", "no column of files and one of labels", id="other columns"),
        pytest.param("", "starts with nothing", id="empty"),
        pytest.param("file,label\n", "labels no pictures", id="a heading alone"),
        pytest.param("file,label\na.png\n", "line 2 has no file or no label: a.png", id="a short line"),
        pytest.param("file,label\n../a.png,dog\n", "leads out of the data set", id="a way out"),
        pytest.param("file,label\n/etc/passwd,dog\n", "leads out of the data set", id="an absolute way out"),
        pytest.param("file,label\nx.png,dog\ny.png,cat\n", r"2 of 2 pictures are missing in .*: x\.png, y\.png", id="missing"),
        pytest.param(b"file,label\n\xff\xfe,dog\n", "not a CSV file", id="not text"),
        pytest.param(b'file,label\n"' + b"x" * 200_000 + b'",dog\n', "not a CSV file", id="a cell without end"),
    ],
)
def test_tables_that_say_nothing_useful_are_refused(folder: Path, text: str | bytes, sentence: str) -> None:
    (folder / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=sentence) as caught:
        open_dataset(folder / "labels.csv")
    assert caught.value.hint


def test_of_several_tables_one_must_be_named(folder: Path) -> None:
    for name in ("one.csv", "two.csv"):
        (folder / name).write_text("file,label\na.png,dog\n")
    with pytest.raises(InputError, match=r"several CSV files: one\.csv, two\.csv"):
        open_dataset(folder)
