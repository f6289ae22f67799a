"""Pictures from files: whatever the format, [h, w, 3] uint8 RGB comes out, and hostile files are named."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.core.errors import EdgekitError, InputError, NotFound
from edgekit.tasks.pictures.images import list_images, read_image, write_png

RED, BLUE = (255, 0, 0), (0, 0, 255)


def saved(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)
    return path


def two_colors() -> Image.Image:
    """Red on the left, blue on the right: 2 x 1 pixels."""
    picture = Image.new("RGB", (2, 1), RED)
    picture.putpixel((1, 0), BLUE)
    return picture


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "webp"])
def test_lossless_formats_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", two_colors(), **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(read_image(path), [[RED, BLUE]])


def test_a_picture_held_upside_down_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    path = saved(tmp_path / "a.png", two_colors(), exif=exif)
    np.testing.assert_array_equal(read_image(path), [[BLUE, RED]])


def test_a_picture_on_its_side_swaps_width_and_height(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (40, 20)), exif=exif)
    assert read_image(path).shape == (40, 20, 3)


def test_gray_becomes_three_equal_channels(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("L", (3, 2), 77))
    np.testing.assert_array_equal(read_image(path), np.full((2, 3, 3), 77))


def test_one_bit_pictures_are_black_and_white(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("1", (1, 1), 1))
    np.testing.assert_array_equal(read_image(path), [[[255, 255, 255]]])


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGBA", (1, 1), (0, 0, 0, 0)))
    np.testing.assert_array_equal(read_image(path), [[[255, 255, 255]]])


def test_palettes_are_looked_up_and_their_transparent_entry_is_white(tmp_path: Path) -> None:
    picture = two_colors().quantize(2)
    path = saved(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(read_image(path), [[RED, BLUE]])
    clear = saved(tmp_path / "b.png", picture, transparency=picture.getpixel((0, 0)))
    np.testing.assert_array_equal(read_image(clear), [[(255, 255, 255), BLUE]])


def test_sixteen_bits_keep_their_upper_eight(tmp_path: Path) -> None:
    values = np.array([[0, 0x1234, 0xFFFF]], dtype=np.uint16)
    path = saved(tmp_path / "a.png", Image.fromarray(values))
    np.testing.assert_array_equal(read_image(path)[0, :, 0], [0, 0x12, 0xFF])


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tiff", Image.new("CMYK", (1, 1), (0, 0, 0, 255)))
    np.testing.assert_array_equal(read_image(path), [[[0, 0, 0]]])


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (2, 2), RED), Image.new("RGB", (2, 2), BLUE)]
    path = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(path)[0, 0], RED)


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header promises a size that its few bytes do not hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def whole_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "JPEG")
    return buffer.getvalue()


HOSTILE = {
    "empty": (b"", "is empty"),
    "text": (b"not a picture at all", "is not a picture of a known format"),
    "truncated": (whole_jpeg()[:600], "does not decode"),
    "a png that ends after its header": (png_claiming(20, 20)[:33], "is not a picture"),
    "fewer pixels than promised": (png_claiming(500, 500), "does not decode"),
    "more pixels than anyone needs": (png_claiming(9000, 8000), "too large: 9000 x 8000 pixels"),
    "a decompression bomb": (png_claiming(60000, 60000), "is too large"),
    "zero pixels": (png_claiming(0, 5), "is not a picture"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture of a known format"),
}


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_files_are_named_with_what_is_wrong_and_what_to_try(tmp_path: Path, title: str) -> None:
    data, message = HOSTILE[title]
    path = tmp_path / "hostile.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_image(path)
    assert "hostile.png" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_no_damage_to_a_picture_escapes_as_anything_else(tmp_path: Path, kind: str) -> None:
    random = np.random.default_rng(3)
    buffer = io.BytesIO()
    Image.effect_noise((20, 15), 60).convert("RGB").save(buffer, kind)
    whole = buffer.getvalue()
    for _ in range(120):
        damaged = bytearray(whole[: random.integers(1, len(whole) + 1)])
        for place in random.integers(0, len(damaged), 4):
            damaged[place] = random.integers(256)
        (tmp_path / "x").write_bytes(damaged)
        with contextlib.suppress(EdgekitError):
            assert read_image(tmp_path / "x").ndim == 3


def test_float_pictures_are_refused_because_their_range_is_unknown(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tiff", Image.fromarray(np.ones((2, 2), np.float32)))
    with pytest.raises(InputError, match="32-bit floats"):
        read_image(path)


def test_integers_beyond_sixteen_bits_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tiff", Image.fromarray(np.full((2, 2), 70000, np.int32)))
    with pytest.raises(InputError, match="beyond 16 bits"):
        read_image(path)


def test_a_missing_file_and_a_folder_are_not_found(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.png", tmp_path):
        with pytest.raises(NotFound, match="no picture at"):
            read_image(path)


def test_a_written_png_reads_back_and_is_the_same_bytes_twice(tmp_path: Path) -> None:
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    for name in ("a.png", "b.png"):
        write_png(tmp_path / name, image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_listing_is_sorted_nested_and_counts_what_it_passed_over(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "a.png", "b/1.webp", "notes.txt", ".hidden.png", "__MACOSX/x.png", ".cache/y.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    listing = list_images(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in listing.paths] == ["a.png", "b/1.webp", "b/2.JPG"]
    assert listing.skipped == 1


def test_a_folder_without_pictures_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found nothing"):
        list_images(tmp_path)
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError, match="found 1 other files"):
        list_images(tmp_path)
    with pytest.raises(NotFound, match="no folder at"):
        list_images(tmp_path / "missing")
