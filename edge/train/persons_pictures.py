"""Pictures to learn people from: stills, stills in an array file, and frames of clips, all on one canvas size, packed as JPEG.

Nothing is labelled: the teacher says what a scene shows. The last third of every clip is held back to see how the student does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.optional import need
from edgekit.train.persons_augment import PAD

Image = NDArray[np.uint8]
WIDTH, HEIGHT = 400, 320
"""Of the canvas: larger than the detector's input, so that a zoom finds something."""
STILLS = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
CLIPS = frozenset({".avi", ".gif", ".mkv", ".mov", ".mp4", ".webm"})
SMALLEST = 64
FRAMES, HELD = 36, 1 / 3
"""Frames of a clip, evenly spread, and the share of the clip at its end that is held back."""
CROPS = (0.75, 0.55)
"""A still is used as a whole and in its four corners at these sizes."""
JPEG_QUALITY = 88
CLIP_WEIGHT = 5.0
"""A clip's frames are as likely to be drawn, together, as this many stills: they look alike."""


class Packed(NamedTuple):
    """Pictures as JPEG bytes one after another, which end at `ends`; how likely each is drawn, and whether it is held back."""

    data: NDArray[np.uint8]
    ends: NDArray[np.int64]
    odds: NDArray[np.float32]
    held: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ends)


class Seen(NamedTuple):
    """One picture on its way into the pack."""

    image: Image
    odds: float
    held: bool


def collect(paths: Iterable[Path], without: frozenset[str] = frozenset()) -> Packed:
    """Everything found under `paths` but the pictures whose name (without suffix) is in `without`, packed.

    Raises `InputError` when that is nothing.
    """
    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    kept = [file for file in files if file.stem not in without]
    seen = [picture for file in kept for picture in _pictures(file, without)]
    if not seen:
        raise InputError("there is no picture and no clip in the folders given", f"pictures are {', '.join(sorted(STILLS))}")
    packed = [_encoded(picture.image) for picture in seen]
    return Packed(
        data=np.frombuffer(b"".join(packed), np.uint8),
        ends=np.cumsum([len(part) for part in packed]),
        odds=np.array([picture.odds for picture in seen], np.float32),
        held=np.array([picture.held for picture in seen], np.bool_),
    )


def _pictures(file: Path, without: frozenset[str]) -> Iterator[Seen]:
    suffix = file.suffix.lower()
    if suffix in STILLS:
        image = need("cv2").imread(str(file))
        return _still(image, 1.0) if image is not None else iter(())
    if suffix == ".npz":
        return _stacked(file, without)
    return _clip(file) if suffix in CLIPS else iter(())


def _still(image: Image, odds: float) -> Iterator[Seen]:
    """The picture and, where it is large, its corners: together as likely as `odds`."""
    if min(image.shape[:2]) < SMALLEST:
        return
    height, width = image.shape[:2]
    parts = [image]
    for share in CROPS if width > WIDTH else ():
        high, wide = round(height * share), round(width * share)
        for top in (0, height - high):
            parts += [image[top : top + high, left : left + wide] for left in (0, width - wide)]
    for part in parts:
        yield Seen(fitted(part), odds / len(parts), False)


def _stacked(file: Path, without: frozenset[str]) -> Iterator[Seen]:
    """Pictures `x` [N, h, w, 3] (red, green, blue) of an array file, with their names when it has them."""
    with np.load(file) as arrays:
        if "x" not in arrays or arrays["x"].ndim != 4 or arrays["x"].dtype != np.uint8:
            return
        names = [Path(str(name)).stem for name in arrays["name"]] if "name" in arrays else [""] * len(arrays["x"])
        for image, name in zip(arrays["x"], names, strict=True):
            if name not in without:
                yield from _still(np.ascontiguousarray(image[..., ::-1]), 0.5)


def _clip(file: Path) -> Iterator[Seen]:
    """Frames evenly spread over the clip."""
    with need("av").open(str(file)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    for place in np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).astype(int):
        yield Seen(fitted(frames[place]), CLIP_WEIGHT / FRAMES, bool(place >= len(frames) * (1 - HELD)))


def fitted(image: Image) -> Image:
    """The picture as large as fits the canvas."""
    height, width = image.shape[:2]
    ratio = min(WIDTH / width, HEIGHT / height)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    cv2 = need("cv2")
    resized: Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)
    return resized


def _encoded(image: Image) -> bytes:
    cv2 = need("cv2")
    content: bytes = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    return content


def unpacked(packed: Packed) -> tuple[Image, NDArray[np.int64]]:
    """Canvases [N, 3, HEIGHT, WIDTH] (blue, green, red), each picture in the upper left corner, and their sizes (w, h)."""
    canvases = np.full((len(packed), 3, HEIGHT, WIDTH), PAD, np.uint8)
    sizes = np.zeros((len(packed), 2), np.int64)
    starts = np.concatenate([[0], packed.ends[:-1]])

    def decode(row: int) -> None:
        image: Any = need("cv2").imdecode(packed.data[starts[row] : packed.ends[row]], 1)
        height, width = image.shape[:2]
        canvases[row, :, :height, :width] = image.transpose(2, 0, 1)
        sizes[row] = width, height

    with ThreadPoolExecutor() as pool:
        list(pool.map(decode, range(len(packed))))
    return canvases, sizes


def save(packed: Packed, path: Path) -> None:
    """Write the pack as an array file."""
    with path.open("wb") as file:
        np.savez(file, **packed._asdict())


def load(path: Path) -> Packed:
    """The pack in an array file."""
    with np.load(path) as arrays:
        return Packed(*(arrays[name] for name in Packed._fields))


def stems(folders: Sequence[Path]) -> frozenset[str]:
    """Names, without suffix, of all files in the folders."""
    return frozenset(file.stem for folder in folders for file in folder.rglob("*") if file.is_file())
