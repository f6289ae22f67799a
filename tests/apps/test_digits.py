"""The digit app: what people hold in front of it is read, and what it is not for is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.apps import digits
from edgekit.apps.base import RunOptions
from edgekit.apps.digits import networks
from edgekit.apps.digits.annotate import annotated
from edgekit.apps.digits.ink import find_ink, median3, otsu
from edgekit.apps.digits.normalise import normalised, pen_width, thicker
from edgekit.apps.digits.reader import Classify, Floats, Reading, read_digits, reduced
from edgekit.apps.digits.segment import glyphs
from edgekit.core.errors import EdgekitError, NotFound, UsageError
from edgekit.models.digits import NUMBER, Sample, draw, model_path, number_picture, samples
from edgekit.tasks.pictures.images import read_image

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def classify() -> Classify:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model_path()), options, providers=["CPUExecutionProvider"])

    def run(picture: Floats) -> Floats:
        probabilities: Floats = session.run(None, {"image": picture[None, None]})[0][0]
        return probabilities

    return run


def number(image: Image, classify: Classify) -> str:
    return "".join(str(digit.digit) for digit in read_digits(image, classify).digits)


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: sample.path.stem)
def test_the_drawn_samples_are_read(sample: Sample, classify: Classify) -> None:
    assert number(read_image(sample.path), classify) == str(sample.digit)


def test_the_page_with_a_number_is_read(classify: Classify) -> None:
    assert number(read_image(number_picture()), classify) == NUMBER


def test_a_real_mnist_picture_is_read(shared_data: Path, classify: Classify) -> None:
    assert number(read_image(shared_data / "images_coral" / "mnist_nine.bmp"), classify) == "9"


def test_real_test_digits_are_read_through_the_whole_app(shared_data: Path, classify: Classify) -> None:
    from edgekit.tasks.data.mnist import open_pair

    pair = open_pair(shared_data / "mnist")
    wrong = total = 0
    for sample in pair:
        wrong += number(sample.image, classify) != str(sample.class_ids[0])
        total += 1
        if total == 400:
            break
    assert wrong <= 0.03 * total


SHEETS = {
    "dark ink on paper": draw.Sheet(height_px=48),
    "chalk on a board": draw.Sheet(height_px=48, paper=(0.1, 0.12, 0.1), pen=(0.9, 0.9, 0.85)),
    "faint pencil": draw.Sheet(height_px=48, paper=(0.6, 0.6, 0.6), pen=(0.42, 0.42, 0.42), noise=0.01),
    "a dark corner": draw.Sheet(height_px=48, shade=0.7),
    "a bad camera": draw.Sheet(height_px=48, noise=0.1),
    "small writing": draw.Sheet(height_px=22),
    "close together": draw.Sheet(height_px=48, gap=0.2),
}


@pytest.mark.parametrize("sheet", SHEETS.values(), ids=SHEETS.keys())
def test_numbers_are_read_from(sheet: draw.Sheet, classify: Classify) -> None:
    wanted = [f"{seed * 7919 % 10000:04d}" for seed in range(1, 6)]
    assert [number(draw.page([text], seed, sheet), classify) for seed, text in enumerate(wanted)] == wanted


def test_rows_are_read_one_after_the_other(classify: Classify) -> None:
    assert number(draw.page(["2024", "5306", "98"], 4, draw.Sheet(height_px=40)), classify) == "2024530698"


@settings(max_examples=15, deadline=None)
@given(angle=st.floats(-10, 10), height=st.integers(24, 60), contrast=st.floats(0.25, 1), seed=st.integers(0, 10_000))
def test_turned_scaled_and_pale_numbers_are_read(
    angle: float, height: int, contrast: float, seed: int, classify: Classify
) -> None:
    page = draw.page(["360258"], seed, draw.Sheet(height_px=height, noise=0.01), draw.Style(slant=0.1, pen=0.11))
    pale = (255 - contrast * (255 - page.astype(np.float32))).astype(np.uint8)
    assert number(turned(pale, angle), classify) == "360258"


def turned(image: Image, angle: float) -> Image:
    from PIL import Image as Pillow

    paper = tuple(int(value) for value in image[0, 0])
    return np.array(Pillow.fromarray(image).rotate(angle, Pillow.Resampling.BILINEAR, expand=True, fillcolor=paper))


def test_the_boxes_are_in_pixels_of_the_given_picture(classify: Classify) -> None:
    page = draw.page(["48"], 3, draw.Sheet(height_px=48))
    large = page.repeat(20, axis=0).repeat(20, axis=1)
    assert large.shape[0] > 2000
    for near, far in zip(read_digits(page, classify).digits, read_digits(large, classify).digits, strict=True):
        assert np.abs(np.array(far.box) / 20 - np.array(near.box)).max() <= 2


@pytest.mark.parametrize(
    "picture",
    [
        np.full((300, 400, 3), 255, np.uint8),
        np.zeros((28, 28, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.random.RandomState(0).normal(200, 12, (200, 300, 3)).clip(0, 255).astype(np.uint8),
        np.linspace(150, 230, 300)[None, :, None].repeat(200, 0).repeat(3, 2).astype(np.uint8),
    ],
    ids=["white", "black", "one pixel", "noise", "uneven light"],
)
def test_a_picture_without_ink_has_no_digits(picture: Image, classify: Classify) -> None:
    reading = read_digits(picture, classify)
    assert reading == Reading(digits=(), latency_ms=0.0)
    assert digits._text(reading, "any") == "no digits in this picture"


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (2, 2), (7, 4000), (65, 64)])
@pytest.mark.parametrize("fill", [0, 128, 255])
def test_odd_shapes_are_no_surprise(shape: tuple[int, int], fill: int, classify: Classify) -> None:
    picture = np.full((*shape, 3), fill, np.uint8)
    picture[:: max(1, shape[0] // 2), :: max(1, shape[1] // 2)] = 255 - fill
    read_digits(picture, classify)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 90), width=st.integers(1, 90), coarse=st.integers(1, 12))
def test_any_picture_is_read_without_failing(seed: int, height: int, width: int, coarse: int, classify: Classify) -> None:
    noise = np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)
    picture = noise.repeat(coarse, axis=0).repeat(coarse, axis=1)[:height, :width]
    for digit in read_digits(picture, classify).digits:
        x1, y1, x2, y2 = digit.box
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        assert [score for _, score in digit.top3] == sorted((score for _, score in digit.top3), reverse=True)


def test_a_page_full_of_marks_takes_a_moment_not_minutes() -> None:
    mask = np.zeros((1600, 1600), bool)
    for row in range(8):
        for column in range(3):
            mask[4 + row : 1580 : 14, 4 + column : 1580 : 14] = True
    started = time.perf_counter()
    assert len(glyphs(mask)) > 10_000
    assert time.perf_counter() - started < 60


def test_touching_digits_are_parted(classify: Classify) -> None:
    left, right = draw.small_digit(3, 1), draw.small_digit(0, 4)
    both = np.maximum(np.pad(left, ((0, 0), (0, 28))), np.pad(right, ((0, 0), (28, 0))))
    columns = np.flatnonzero(both.any(axis=0))
    gap = np.flatnonzero(~both[:, columns[0] : columns[-1]].any(axis=0)) + columns[0]
    joined = np.delete(both, gap, axis=1)
    row = int(np.argmax(joined.sum(axis=1)))
    joined[row : row + 2, columns[0] : joined.shape[1] - 10] |= 200
    assert len(read_digits(np.repeat(np.pad(joined, 6)[:, :, None], 3, axis=2), classify).digits) == 2


def test_the_polarity_is_found_from_the_ink_not_from_the_brightness() -> None:
    page = draw.page(["12"], 1, draw.Sheet(height_px=48))
    assert not find_ink(page).light_ink
    assert find_ink(255 - page).light_ink


@pytest.mark.parametrize("pen_px", [10, 20, 26, 34])
def test_a_thick_pen_in_a_small_picture_is_ink_and_not_the_board(pen_px: int) -> None:
    page, strokes = np.full((192, 192, 3), 235, np.uint8), np.zeros((192, 192), bool)
    for top, bottom, left, right in ((40, 40 + pen_px, 56, 136), (152 - pen_px, 152, 56, 136), (40, 152, 56, 56 + pen_px)):
        strokes[top:bottom, left:right] = True
    page[strokes] = 40
    inked = find_ink(page)
    assert not inked.light_ink
    assert (inked.mask == strokes).mean() > 0.98


def test_the_median_is_numpys_median() -> None:
    image = np.random.RandomState(1).rand(20, 23).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, 1, mode="edge"), (3, 3))
    assert np.array_equal(median3(image), np.median(windows, axis=(2, 3)))


def test_otsu_parts_two_heaps() -> None:
    values = np.concatenate([np.full(900, 0.1), np.full(100, 0.8)]).astype(np.float32)
    assert 0.1 < otsu(values) < 0.8


@given(width=st.integers(2, 9), length=st.integers(40, 90))
def test_the_pen_is_measured(width: int, length: int) -> None:
    bar = np.zeros((length, width), bool)
    bar[:] = True
    assert pen_width(bar) == pytest.approx(width * 4 / np.pi, rel=0.3)
    assert thicker(bar.astype(np.float32), 2).shape == (length + 4, width + 4)


def test_a_fine_pen_is_drawn_thicker() -> None:
    mask = np.zeros((200, 120), bool)
    mask[:, 59:61] = mask[:2] = mask[-2:] = True
    small = normalised(mask.astype(np.float32), mask)
    assert small.shape == (28, 28)
    assert small.max() > 0.9
    rows, columns = np.mgrid[0:28, 0:28]
    assert abs(float((small * rows).sum() / small.sum()) - 14) < 1
    assert abs(float((small * columns).sum() / small.sum()) - 14) < 1


def test_large_pictures_are_reduced_by_whole_squares() -> None:
    image = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    small, factor = reduced(image, 4)
    assert (small.shape, factor) == ((3, 4, 3), 2)
    assert reduced(image, 100)[1] == 1


def test_what_was_read_is_drawn_into_a_copy(classify: Classify) -> None:
    page = draw.page(["7"], 1)
    before = page.copy()
    picture = annotated(page, read_digits(page, classify).digits)
    assert np.array_equal(page, before)
    assert not np.array_equal(picture[: page.shape[0], : page.shape[1]], page)


REFUSED = [
    pytest.param(RunOptions(image=number_picture(), config=Path("x.yaml")), "no use for --config", id="settings"),
    pytest.param(
        RunOptions(image=number_picture(), source="/dev/video0"),
        "--image reads one picture, --source a camera",
        id="two things",
    ),
    pytest.param(RunOptions(output=Path("read.png")), "-o goes with --image", id="a file from the page"),
    pytest.param(RunOptions(port=70_000), "port 70000 is not one of 0 to 65535", id="no such port"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_options_that_fit_neither_a_picture_nor_the_page_are_refused(options: RunOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        digits.run(options)


def test_an_artifact_that_does_not_exist_is_named() -> None:
    with pytest.raises(EdgekitError, match="nowhere"):
        digits.run(RunOptions(image=number_picture(), artifact=Path("nowhere")))


def test_without_a_packaged_artifact_the_hint_is_the_command_that_makes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    none: Callable[[], tuple[Path, ...]] = tuple
    monkeypatch.setattr(networks, "artifacts", none)
    with pytest.raises(NotFound, match="no digit artifact") as caught:
        networks.open_session(None, "auto")
    assert f"edgekit convert {model_path()} --target cpu" in caught.value.hint


def test_an_artifact_of_the_network_reads_the_page_from_end_to_end(tmp_path: Path) -> None:
    import edgekit

    artifact = edgekit.convert(model_path(), target="cpu", precision="fp32", output=tmp_path)
    options = RunOptions(image=number_picture(), artifact=artifact.path, output=tmp_path / "read.png")
    answer = digits.run(options)
    assert answer.result["number"] == NUMBER
    assert set(answer.result["digits"][0]) == {"digit", "score", "top3", "box"}
    assert answer.result["latency_ms"] > 0
    assert answer.text.startswith(NUMBER)
    assert read_image(tmp_path / "read.png").shape == read_image(number_picture()).shape


def test_a_digit_in_pieces_is_one_digit_and_neighbours_stay_two() -> None:
    """A stroke that does not touch the rest beside it: joined where the network then is surer, not because of its place."""
    from edgekit.apps.digits.segment import Glyph
    from edgekit.apps.digits.touching import may_be_one, union

    body, bar = Glyph((10, 14, 24, 34), np.ones((20, 14), np.bool_)), Glyph((25, 10, 33, 14), np.ones((4, 8), np.bool_))
    beside, far = Glyph((26, 14, 38, 34), np.ones((20, 12), np.bool_)), Glyph((60, 10, 68, 14), np.ones((4, 8), np.bool_))
    assert may_be_one(body, bar)
    assert not may_be_one(body, beside)
    assert not may_be_one(body, far)
    joined = union(body, bar)
    assert joined.box == (10, 10, 33, 34)
    assert joined.mask.sum() == body.mask.sum() + bar.mask.sum()
