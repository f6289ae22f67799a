"""A picture becomes a model's input, and positions there become pixels of the picture again."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.schema import Preprocess
from edgekit.tasks.pictures.preprocess import prepare
from edgekit.tasks.pictures.resize import resize_bilinear

sizes = st.integers(1, 40)


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def slow_bilinear(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float64]:
    """The textbook, pixel by pixel, in exact arithmetic."""
    rows, columns, channels = image.shape
    result = np.zeros((height, width, channels))
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) * rows / height - 0.5, 0), rows - 1)
            u = min(max((x + 0.5) * columns / width - 0.5, 0), columns - 1)
            top, left = int(v), int(u)
            bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            upper = image[top, left] * (1 - (u - left)) + image[top, right] * (u - left)
            lower = image[bottom, left] * (1 - (u - left)) + image[bottom, right] * (u - left)
            result[y, x] = upper * (1 - (v - top)) + lower * (v - top)
    return result


@given(sizes, sizes, sizes, sizes, st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_resizing_is_the_textbook_to_within_a_rounding(rows: int, columns: int, height: int, width: int, seed: int) -> None:
    image = picture(rows, columns, seed)
    resized = resize_bilinear(image, height, width)
    assert resized.shape == (height, width, 3)
    assert np.abs(resized - slow_bilinear(image, height, width)).max() <= 1


def test_resizing_a_plain_picture_leaves_it_plain() -> None:
    for value in (0, 1, 127, 254, 255):
        plain = np.full((13, 7, 3), value, np.uint8)
        assert (resize_bilinear(plain, 31, 29) == value).all()


def test_resizing_gives_what_opencv_gives() -> None:
    """Values of cv2.resize(..., interpolation=cv2.INTER_LINEAR), OpenCV 5.0.0 on x86-64."""
    ramp = np.arange(0, 250, 10, dtype=np.uint8).reshape(1, 25, 1)
    np.testing.assert_array_equal(resize_bilinear(ramp, 1, 10).ravel(), [8, 33, 58, 83, 108, 133, 158, 183, 208, 233])
    mixed = (np.arange(35) * 37 % 251).astype(np.uint8).reshape(5, 7, 1)
    expected = [[16, 81, 146, 211], [30, 95, 159, 224], [43, 108, 173, 133]]
    np.testing.assert_array_equal(resize_bilinear(mixed, 3, 4)[..., 0], expected)


def test_stretching_fills_the_input_and_scales_each_axis_by_itself() -> None:
    prepared = prepare(picture(10, 40), Preprocess(input="x", height=20, width=20))
    assert prepared.array.shape == (1, 3, 20, 20)
    assert prepared.array.dtype == np.float32
    assert (prepared.placement.scale_x, prepared.placement.scale_y) == (0.5, 2.0)


def test_letterbox_stands_at_the_top_left_and_pads_the_rest() -> None:
    white = np.full((10, 20, 3), 255, np.uint8)
    array = prepare(white, Preprocess(input="x", height=8, width=8, resize="letterbox", pad_value=114)).array[0, 0]
    assert (array[:4] == 255).all()
    assert (array[4:] == 114).all()


def test_centred_letterbox_pads_both_sides_alike() -> None:
    white = np.full((10, 20, 3), 255, np.uint8)
    prepared = prepare(white, Preprocess(input="x", height=8, width=8, resize="letterbox-center", pad_value=7))
    assert (prepared.array[0, 0, [0, 1, 6, 7]] == 7).all()
    assert (prepared.array[0, 0, 2:6] == 255).all()
    assert prepared.placement.offset_y == 2


def test_a_small_picture_is_enlarged_to_the_letterbox() -> None:
    prepared = prepare(picture(2, 4), Preprocess(input="x", height=8, width=8, resize="letterbox"))
    assert (prepared.placement.scale_x, prepared.placement.scale_y) == (2.0, 2.0)


def test_a_line_of_pixels_still_fits() -> None:
    prepared = prepare(picture(1, 900), Preprocess(input="x", height=8, width=8, resize="letterbox"))
    assert prepared.array.shape == (1, 3, 8, 8)


def test_colours_come_in_the_order_asked_for() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 200
    order = {
        color: prepare(red, Preprocess(input="x", height=2, width=2, color=color)).array[0, :, 0, 0] for color in ("rgb", "bgr")
    }
    np.testing.assert_array_equal(order["rgb"], [200, 0, 0])
    np.testing.assert_array_equal(order["bgr"], [0, 0, 200])


def test_gray_is_the_luma_of_bt601_in_one_channel() -> None:
    image = np.array([[[200, 100, 50]]], np.uint8)
    gray = prepare(image, Preprocess(input="x", height=1, width=1, color="gray", layout="nhwc")).array
    assert gray.shape == (1, 1, 1, 1)
    assert gray[0, 0, 0, 0] == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)


def test_gray_of_a_gray_picture_changes_nothing() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    gray = prepare(levels, Preprocess(input="x", height=16, width=16, color="gray")).array
    np.testing.assert_array_equal(gray.ravel(), np.arange(256))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_each_channel_is_scaled_then_shifted_then_divided(layout: str) -> None:
    image = picture(4, 5)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    wish = Preprocess(input="x", height=4, width=5, layout=layout, color="bgr", scale=1 / 255, mean=mean, std=std)
    expected = (image[:, :, ::-1] / 255 - mean) / std
    expected = expected.transpose(2, 0, 1) if layout == "nchw" else expected
    array = prepare(image, wish).array
    np.testing.assert_allclose(array[0], expected, rtol=1e-5, atol=1e-6)
    assert array.flags.c_contiguous


def test_a_scale_is_left_to_who_takes_bytes_when_it_is_all_there_is_to_do() -> None:
    picture, scaled = np.full((4, 4, 3), 51, np.uint8), Preprocess(input="x", height=4, width=4, layout="nchw", scale=1 / 255)
    later = prepare(picture, scaled, as_bytes=True, scaled_later=True)
    assert (later.array.dtype, later.scale) == (np.uint8, 1 / 255)
    np.testing.assert_array_equal(later.array * np.float32(later.scale), prepare(picture, scaled, as_bytes=True).array)
    shifted = msgspec.structs.replace(scaled, mean=(0.5,))
    made = prepare(picture, shifted, as_bytes=True, scaled_later=True)
    assert (made.array.dtype, made.scale) == (np.float32, 1.0), "what is more than a scale is done at once"


def test_preparing_never_changes_the_picture() -> None:
    image = picture(6, 6)
    before = image.copy()
    prepare(image, Preprocess(input="x", height=6, width=6, scale=0.1, mean=(1.0,)))
    np.testing.assert_array_equal(image, before)


@given(st.sampled_from(["stretch", "letterbox", "letterbox-center"]), sizes, sizes, sizes, sizes, st.data())
@settings(max_examples=60, deadline=None)
def test_a_box_that_goes_to_the_input_comes_back(
    resize: str, rows: int, columns: int, height: int, width: int, data: st.DataObject
) -> None:
    placement = prepare(picture(rows, columns), Preprocess(input="x", height=height, width=width, resize=resize)).placement
    x = sorted(data.draw(st.lists(st.floats(0, columns), min_size=2, max_size=2)))
    y = sorted(data.draw(st.lists(st.floats(0, rows), min_size=2, max_size=2)))
    box = np.array([[x[0], y[0], x[1], y[1]]], np.float32)
    there = placement.points_to_input(box.reshape(-1, 2, 2)).reshape(-1, 4)
    np.testing.assert_allclose(placement.boxes_to_image(there), box, atol=1e-3)


def test_boxes_are_clipped_to_the_picture() -> None:
    placement = prepare(picture(10, 20), Preprocess(input="x", height=10, width=20)).placement
    boxes = np.array([[-5, -5, 99, 99]], np.float32)
    np.testing.assert_array_equal(placement.boxes_to_image(boxes), [[0, 0, 20, 10]])


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)],
    ids=["no channels", "floats", "four channels", "no rows"],
)
def test_what_is_not_a_picture_is_refused_with_its_shape(array: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match=r"a picture is uint8 of shape"):
        prepare(array, Preprocess(input="x", height=4, width=4))


def test_mean_and_std_must_fit_the_channels() -> None:
    with pytest.raises(InputError, match="mean has 2 values for 3 channels"):
        prepare(picture(4, 4), Preprocess(input="x", height=4, width=4, mean=(1.0, 2.0)))
    with pytest.raises(InputError, match="nothing can be divided by 0"):
        prepare(picture(4, 4), Preprocess(input="x", height=4, width=4, std=(0.0,)))
