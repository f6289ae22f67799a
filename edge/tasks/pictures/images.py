"""Pictures from files, and back: every picture is an array of shape [height, width, 3], uint8, RGB."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError, NotFound
from edgekit.core.files import write_atomically
from edgekit.core.optional import need

Image = NDArray[np.uint8]

PIXEL_LIMIT = 64_000_000
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_CONVERT = "convert it to PNG or JPEG with any picture program"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The pictures of a folder in the order of their relative names, and how many other files were passed over."""

    paths: tuple[Path, ...]
    skipped: int


def read_image(path: Path | str) -> Image:
    """The picture in a file as [height, width, 3] uint8 RGB: upright (EXIF), first frame, alpha laid over white.

    Raises `NotFound` when there is no such file, `InputError` when it is empty, damaged, not a picture, or larger than
    `PIXEL_LIMIT` pixels (checked before anything is decoded), `MissingDependency` without Pillow.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFound(f"no picture at {str(path)!r}", "is the path right, and is it a file?")
    if path.stat().st_size == 0:
        raise InputError(f"{str(path)!r} is empty (0 bytes)", "copy or download it again")
    return _decoded(path, str(path))


def decode_image(data: bytes, name: str = "the picture", *, pixels: int = PIXEL_LIMIT) -> Image:
    """As `read_image`, for a file's bytes that came from elsewhere; `name` is what errors call it, `pixels` the most it may have."""
    if not data:
        raise InputError(f"{name!r} is empty (0 bytes)", "send it again")
    return _decoded(io.BytesIO(data), name, pixels)


def write_png(path: Path, image: Image) -> None:
    """Write `image` ([height, width, 3] uint8 RGB) as a PNG; the same pixels give the same bytes with the same Pillow."""
    write_atomically(path, encode_png(image))


def encode_png(image: Image) -> bytes:
    """`image` ([height, width, 3] uint8 RGB) as a PNG's bytes."""
    buffer = io.BytesIO()
    need("PIL.Image").fromarray(image).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def list_images(folder: Path | str) -> Listing:
    """Every picture file under `folder`, nested ones too; hidden files and folders do not count.

    Raises `NotFound` when `folder` is not a folder, `InputError` when it holds no picture file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotFound(f"no folder at {str(folder)!r}", "is the path right?")
    files = sorted((path for path in folder.rglob("*") if _counts(path, folder)), key=lambda path: path.as_posix())
    pictures = tuple(path for path in files if path.suffix.lower() in SUFFIXES)
    if not pictures:
        found = f"{len(files)} other files" if files else "nothing"
        raise InputError(f"no pictures in {str(folder)!r}: found {found}", f"pictures end in {', '.join(sorted(SUFFIXES))}")
    return Listing(paths=pictures, skipped=len(files) - len(pictures))


def _counts(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
    return not hidden and path.is_file()


def _decoded(file: Path | io.BytesIO, name: str, pixels: int = PIXEL_LIMIT) -> Image:
    pil = need("PIL.Image")
    for plugin in ("TiffImagePlugin", "WebPImagePlugin"):
        need(f"PIL.{plugin}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pil.open(file, formats=FORMATS) as picture:
                _refuse_sizes(name, picture.size, pixels)
                return _as_rgb(name, need("PIL.ImageOps").exif_transpose(picture))
    except InputError:
        raise
    except pil.DecompressionBombError as exc:
        raise _too_large(name, str(exc), pixels) from exc
    except pil.UnidentifiedImageError as exc:
        raise InputError(f"{name!r} is not a picture of a known format ({', '.join(FORMATS)})", _CONVERT) from exc
    except Exception as exc:  # decoders raise anything from SyntaxError to struct.error on damaged files
        raise InputError(f"{name!r} does not decode: {exc}", "is it whole? copy or download it again") from exc


def _refuse_sizes(name: str, size: tuple[int, int], pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise InputError(f"{name!r} is {width} x {height} pixels", "a picture needs at least one pixel")
    if width * height > pixels:
        raise _too_large(name, f"{width} x {height} pixels", pixels)


def _too_large(name: str, found: str, pixels: int) -> InputError:
    limit = f"the limit is {pixels // 1_000_000} megapixels"
    return InputError(f"{name!r} is too large: {found}; {limit}", "scale it down first")


def _as_rgb(name: str, picture: Any) -> Image:
    """A decoded Pillow picture of any mode as [height, width, 3] uint8."""
    if picture.mode == "F":
        raise InputError(f"{name!r} holds 32-bit floats: their range is unknown", _CONVERT)
    if picture.mode.startswith("I"):
        return _from_16_bit(name, np.asarray(picture))
    if picture.mode in ("LA", "PA", "La", "RGBa", "RGBA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        paper = need("PIL.Image").new("RGBA", picture.size, "white")
        picture = need("PIL.Image").alpha_composite(paper, picture)
    return np.array(picture.convert("RGB"), dtype=np.uint8)


def _from_16_bit(name: str, values: NDArray[Any]) -> Image:
    if values.min() < 0 or values.max() > 0xFFFF:
        raise InputError(f"{name!r} holds values from {values.min()} to {values.max()}, beyond 16 bits", _CONVERT)
    return np.repeat((values >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
