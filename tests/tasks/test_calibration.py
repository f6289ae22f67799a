"""Calibration samples come from what people have, fit the model exactly, and can be gone through again."""

from __future__ import annotations

import contextlib
import gzip
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgekit.core.errors import EdgekitError, InputError, NotFound
from edgekit.core.schema import Preprocess, TensorSpec
from edgekit.tasks.calibration.arrays import evenly
from edgekit.tasks.calibration.samples import calibration_samples
from edgekit.tasks.data import archives

SPEC = TensorSpec(name="x", shape=(1, 3, 4, 4), dtype="float32")
MASK = TensorSpec(name="mask", shape=(1, 5), dtype="int64")
PREPROCESS = Preprocess(input="x", height=4, width=4, scale=1 / 255)


def numbers(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).random(shape, dtype=np.float32)


def feeds(source: Any, *specs: TensorSpec, preprocess: Preprocess | None = None, limit: int = 128) -> list[dict[str, Any]]:
    return [dict(feed) for feed in calibration_samples(source, preprocess, specs or (SPEC,), limit)]


def pictures(folder: Path, count: int) -> Path:
    for index in range(count):
        Image.new("RGB", (9, 5), (index * 20, 0, 255)).save(folder / f"{index:02}.png")
    return folder


def test_a_folder_of_pictures_becomes_what_the_model_sees_again_and_again(tmp_path: Path) -> None:
    samples = calibration_samples(pictures(tmp_path, 3), PREPROCESS, (SPEC,))
    assert len(samples) == 3
    first, second = ([feed["x"] for feed in samples] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (first[0].shape, first[0].dtype) == (SPEC.shape, np.float32)
    np.testing.assert_allclose(first[1][0, :, 0, 0], [20 / 255, 0, 1])


def test_of_many_samples_some_are_taken_evenly(tmp_path: Path) -> None:
    reds = [round(float(feed["x"][0, 0, 0, 0]) * 255) for feed in feeds(pictures(tmp_path, 9), preprocess=PREPROCESS, limit=3)]
    assert reds == [0, 80, 160]
    assert evenly(5, 9) == (0, 1, 2, 3, 4)
    assert evenly(1000, 2) == (0, 999)
    assert evenly(7, 1) == (0,)


def test_what_does_not_decode_is_passed_over_aloud(tmp_path: Path) -> None:
    (pictures(tmp_path, 2) / "01.png").write_bytes(b"broken")
    (tmp_path / "readme.txt").touch()
    samples = calibration_samples(tmp_path, PREPROCESS, (SPEC,))
    assert len(samples) == 1
    assert samples.notes[0] == "calibration passed over 1 files that are not pictures"
    assert "01.png" in samples.notes[1]


def test_a_folder_where_nothing_decodes_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"none of the 1 pictures in .* decodes: .* is not a picture"):
        feeds(tmp_path, preprocess=PREPROCESS)


def test_pictures_need_to_know_how_they_become_the_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="how a picture becomes this model's input is not known") as caught:
        feeds(pictures(tmp_path, 1))
    assert "--mean" in caught.value.hint


def test_pictures_feed_one_input_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pictures feed one input, 'x'; the model has: x, mask"):
        feeds(pictures(tmp_path, 1), SPEC, MASK, preprocess=PREPROCESS)


def test_an_input_of_bytes_gets_whole_numbers(tmp_path: Path) -> None:
    spec = TensorSpec(name="x", shape=(1, 4, 4, 3), dtype="uint8")
    wish = Preprocess(input="x", height=4, width=4, layout="nhwc")
    (feed,) = feeds(pictures(tmp_path, 1), spec, preprocess=wish)
    assert feed["x"].dtype == np.uint8
    assert feed["x"][0, 0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])
def test_digits_come_from_the_training_pictures_and_need_no_labels(tmp_path: Path, name: str) -> None:
    data = struct.pack(">4I", 0x0803, 6, 4, 4) + bytes(range(96))
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    other = struct.pack(">4I", 0x0803, 1, 4, 4) + bytes(16)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(other)
    spec = TensorSpec(name="x", shape=(1, 1, 4, 4), dtype="float32")
    found = feeds(tmp_path, spec, preprocess=Preprocess(input="x", height=4, width=4, color="gray"), limit=2)
    assert [int(feed["x"][0, 0, 0, 0]) for feed in found] == [0, 80]


ARRAYS = [
    pytest.param((5, 3, 4, 4), 5, id="samples in a row"),
    pytest.param((3, 4, 4), 1, id="one sample without a batch"),
    pytest.param((1, 3, 4, 4), 1, id="one sample"),
    pytest.param((5, 1, 3, 4, 4), 5, id="batches in a row"),
]


@pytest.mark.parametrize(("shape", "count"), ARRAYS)
@pytest.mark.parametrize("kind", ["array", "mapping", "npy", "npz", "npz of another name", "list"])
def test_arrays_are_taken_with_and_without_a_batch_axis(tmp_path: Path, shape: tuple[int, ...], count: int, kind: str) -> None:
    array = numbers(*shape)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array)
    np.savez_compressed(tmp_path / "b.npz", array)
    rows = list(array.reshape(-1, 3, 4, 4))
    sources = {
        "array": array,
        "mapping": {"x": array},
        "npy": tmp_path / "a.npy",
        "npz": tmp_path / "a.npz",
        "npz of another name": str(tmp_path / "b.npz"),
        "list": rows,
    }
    found = feeds(sources[kind])
    assert len(found) == count
    assert found[0]["x"].shape == SPEC.shape
    np.testing.assert_array_equal([feed["x"] for feed in found], array.reshape(-1, *SPEC.shape))


def test_a_batch_larger_than_one_takes_as_many_rows_at_a_time() -> None:
    spec = TensorSpec(name="x", shape=(2, 3), dtype="float32")
    assert [feed["x"].shape for feed in feeds(numbers(6, 3), spec)] == [(2, 3)] * 3
    with pytest.raises(InputError, match=r"has shape \[5, 3\]; the model takes \[2, 3\]"):
        feeds(numbers(5, 3), spec)


def test_several_inputs_come_by_name_and_a_constant_mask_is_no_fault() -> None:
    source = {"mask": np.ones((4, 5), np.int64), "x": numbers(4, 3, 4, 4)}
    found = feeds(source, SPEC, MASK)
    assert [sorted(feed) for feed in found] == [["mask", "x"]] * 4
    assert found[0]["mask"].shape == (1, 5)


def test_a_generator_is_gone_through_once_and_its_samples_as_often_as_needed() -> None:
    made: list[int] = []

    def generate() -> Iterator[NDArray[np.float32]]:
        for index in range(1000):
            made.append(index)
            yield np.full((3, 4, 4), index, np.float32)

    samples = calibration_samples(generate(), None, (SPEC,), limit=4)
    assert [[float(feed["x"].max()) for feed in samples] for _ in range(3)] == [[0, 1, 2, 3]] * 3
    assert len(made) == 4


def test_a_generator_may_yield_mappings_pictures_and_paths(tmp_path: Path) -> None:
    path = pictures(tmp_path, 2) / "01.png"
    image = np.full((9, 9, 3), (20, 0, 255), np.uint8)
    ready = np.broadcast_to(np.array([20 / 255, 0, 1], np.float32)[:, None, None], (3, 4, 4))
    found = feeds([{"x": ready}, image, path, str(path)], preprocess=PREPROCESS)
    for feed in found:
        np.testing.assert_allclose(feed["x"][0], ready, rtol=1e-6)


def test_nothing_temporary_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    np.savez(tmp_path / "a.npz", x=numbers(2, 3, 4, 4))
    for source in (tmp_path / "a.npz", iter([numbers(3, 4, 4)])):
        samples = calibration_samples(source, None, (SPEC,))
        assert any((tmp_path / "scratch").iterdir())
        list(samples)
        del samples
        assert not any((tmp_path / "scratch").iterdir())


def test_the_hash_follows_the_data_not_its_place(tmp_path: Path) -> None:
    array = numbers(2, 3, 4, 4)
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, array)
    hashes = [calibration_samples(source, None, (SPEC,)).sha256 for source in (tmp_path / "a.npy", tmp_path / "b.npy")]
    assert hashes[0] == hashes[1]
    assert calibration_samples(array, None, (SPEC,)).sha256 != calibration_samples(array + 1, None, (SPEC,)).sha256
    assert calibration_samples(iter(array), None, (SPEC,)).sha256 == calibration_samples(list(array), None, (SPEC,)).sha256


WRONG = [
    pytest.param(numbers(5, 4, 4, 3), r"has shape \[5, 4, 4, 3\]; the model takes \[1, 3, 4, 4\]", id="another layout"),
    pytest.param(numbers(5), r"has shape \[5\]", id="a vector"),
    pytest.param(numbers(0, 3, 4, 4), "hold no samples", id="no rows"),
    pytest.param(np.zeros((5, 3, 4, 4), np.uint8), "is uint8, input 'x' takes float32", id="bytes for a float input"),
    pytest.param(np.full((1, 3, 4, 4), "a"), "is <U1, input 'x' takes float32", id="words"),
    pytest.param(np.full((1, 3, 4, 4), None), "is object", id="objects"),
    pytest.param({"y": numbers(3, 4, 4)}, "the arrays are named y, the model's inputs x", id="another name"),
    pytest.param({}, "the arrays are named nothing", id="no arrays"),
    pytest.param([], "yielded nothing", id="an empty list"),
    pytest.param([numbers(2, 2)], r"sample 0: shape \[2, 2\] does not fit input 'x'", id="a wrong sample in a list"),
    pytest.param([{"x": numbers(3, 4, 4), "z": numbers(1)}], "the arrays are named x, z", id="a name too many in a list"),
    pytest.param([3.0], r"sample 0: shape \[\]", id="numbers in a list"),
    pytest.param(7, "calibration data cannot be a int", id="a number"),
    pytest.param([numbers(3, 4, 4) * np.nan], "sample 0 of input 'x' holds 48 NaN", id="NaN"),
    pytest.param(
        [numbers(3, 4, 4), numbers(3, 4, 4) + np.inf], "sample 1 of input 'x' holds 48 NaN or infinite", id="infinity"
    ),
    pytest.param(np.zeros((5, 3, 4, 4), np.float32), "is 0 everywhere", id="constant"),
]


@pytest.mark.parametrize(("source", "message"), WRONG)
def test_what_does_not_fit_is_refused_with_numbers(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        feeds(source)


def test_one_array_does_not_feed_two_inputs(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", numbers(1, 3, 4, 4))
    for source in (numbers(1, 3, 4, 4), tmp_path / "a.npy"):
        with pytest.raises(InputError, match="is one array, the model has 2 inputs: x, mask"):
            feeds(source, SPEC, MASK)
    with pytest.raises(InputError, match="sample 0 is one array, the model has 2 inputs"):
        feeds([numbers(1, 3, 4, 4)], SPEC, MASK)


def test_inputs_need_as_many_samples_as_each_other() -> None:
    with pytest.raises(InputError, match=r"different numbers of samples: \{'x': 2, 'mask': 3\}"):
        feeds({"x": numbers(2, 3, 4, 4), "mask": np.ones((3, 5), np.int64)}, SPEC, MASK)


def damaged(folder: Path) -> dict[str, tuple[Path, str]]:
    np.save(folder / "objects.npy", np.array([{}]), allow_pickle=True)
    np.savez(folder / "objects.npz", x=np.array([{}], dtype=object), allow_pickle=True)
    np.savez(folder / "whole.npz", x=numbers(9, 3, 4, 4))
    np.save(folder / "cut.npy", numbers(9, 3, 4, 4))
    (folder / "cut.npy").write_bytes((folder / "cut.npy").read_bytes()[:200])
    (folder / "cut.npz").write_bytes((folder / "whole.npz").read_bytes()[:200])
    (folder / "text.npy").write_text("1, 2, 3")
    (folder / "empty.npz").touch()
    (folder / "renamed.npy").write_bytes((folder / "whole.npz").read_bytes())
    with zipfile.ZipFile(folder / "nothing.npz", "w"):
        pass
    names = {
        "objects.npy": "not an array",
        "cut.npy": "not an array",
        "text.npy": "not an array",
        "renamed.npy": "not an array",
    }
    names |= {"cut.npz": "not a whole", "empty.npz": "not a whole", "nothing.npz": "holds no arrays"}
    return {name: (folder / name, message) for name, message in names.items()}


def test_damaged_array_files_are_named_and_never_unpickled(tmp_path: Path) -> None:
    for path, message in damaged(tmp_path).values():
        with pytest.raises(InputError, match=message):
            feeds(path)
    with pytest.raises(EdgekitError):
        feeds(tmp_path / "objects.npz")


def test_no_flipped_byte_in_an_array_file_escapes_as_anything_else(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    np.save(tmp_path / "a.npy", numbers(2, 3, 4, 4))
    np.savez(tmp_path / "a.npz", x=numbers(2, 3, 4, 4))
    for name in ("a.npy", "a.npz"):
        whole = (tmp_path / name).read_bytes()
        for place in random.integers(0, min(len(whole), 200), 150):
            damaged_bytes = whole[:place] + bytes([random.integers(256)]) + whole[place + 1 :]
            (tmp_path / f"x{name}").write_bytes(damaged_bytes)
            with contextlib.suppress(EdgekitError):
                feeds(tmp_path / f"x{name}")


def test_an_archive_that_unpacks_to_too_much_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "UNPACKED_LIMIT_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((2, 3, 4, 40000), np.float32))
    assert (tmp_path / "a.npz").stat().st_size < 1 << 15
    with pytest.raises(InputError, match=r"'x\.npy' unpacks to more than 1048576 bytes"):
        feeds(tmp_path / "a.npz")


def test_a_missing_path_and_a_limit_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no calibration data at"):
        feeds(tmp_path / "missing")
    with pytest.raises(InputError, match="the calibration limit is 0"):
        feeds(numbers(2, 3, 4, 4), limit=0)
