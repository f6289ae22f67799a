"""Pictures without labels for benchmarks/pruning.py: photographs, crops of them, frames of the videos, small crops put together.

    python benchmarks/pruning_pictures.py FOLDER

From the folder of real data beside the checkout; what judges (coco_eval) is not touched. Needs OpenCV (opencv-python-headless) and Pillow.
The same data give the same pictures: which crops are taken is drawn by a seed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from common import SHARED
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
LONGEST = 560
CROPPED = ("hot_dog.jpg", "parrot.jpg", "cat_720p.jpg", "bird_segmentation.bmp", "grace_hopper.bmp")
FRAMES = {
    "vtest_480x360.mp4": 60,
    "one-by-one-person-detection.mp4": 40,
    "bottle-detection.mp4": 25,
    "asl_no.mkv": 6,
    "asl_walk.mkv": 6,
}
OF_A_CLIP, OF_A_GIF, PUT_TOGETHER = 14, 40, 100


def main(argv: list[str]) -> int:
    """Write them all as JPEG."""
    folder = Path(argv[0])
    folder.mkdir(parents=True, exist_ok=True)
    draw, count = random.Random(0), 0
    for name, picture in (*photographs(), *crops(draw), *frames(), *stills(), *together(draw)):
        save(folder / f"{name}.jpg", picture)
        count += 1
    print(f"{count} pictures in {folder}")
    return 0


def photographs() -> Iterator[tuple[str, Picture]]:
    """The calibration photographs, and those that come with Coral's models."""
    for path in sorted((SHARED / "calibration").glob("*.jpg")):
        yield f"cal_{path.stem}", read(path)
    for path in sorted((SHARED / "images_coral").iterdir()):
        if path.suffix in (".bmp", ".jpg") and "mask" not in path.name and "mnist" not in path.name:
            yield f"coral_{path.stem}", read(path)


def crops(draw: random.Random) -> Iterator[tuple[str, Picture]]:
    """Four parts of each photograph that is large enough."""
    paths = (*sorted((SHARED / "calibration").glob("*.jpg")), *(SHARED / "images_coral" / name for name in CROPPED))
    for path in paths:
        whole = read(path)
        height, width = whole.shape[:2]
        for place in range(4):
            share = draw.uniform(0.45, 0.8)
            rows, columns = int(height * share), int(width * share)
            top, left = draw.randint(0, height - rows), draw.randint(0, width - columns)
            yield f"crop_{path.stem}_{place}", whole[top : top + rows, left : left + columns]


def frames() -> Iterator[tuple[str, Picture]]:
    """Frames at even distances."""
    clips = dict.fromkeys(sorted((SHARED / "fall_videos").glob("*.mp4")), OF_A_CLIP)
    for path, count in (*clips.items(), *((SHARED / "videos" / name, count) for name, count in FRAMES.items())):
        for place, frame in spread(list(video(path)), count):
            yield f"{path.parent.name}_{path.stem}_{place}", frame


def stills() -> Iterator[tuple[str, Picture]]:
    """Frames of the animated pictures."""
    image = import_module("PIL.Image")
    sequence = import_module("PIL.ImageSequence")
    for path in sorted((SHARED / "videos").glob("*.gif")):
        shown = [np.asarray(frame.convert("RGB")) for frame in sequence.Iterator(image.open(path))]
        for place, frame in spread(shown, OF_A_GIF):
            yield f"gif_{path.stem}_{place}", frame


def together(draw: random.Random) -> Iterator[tuple[str, Picture]]:
    """Small crops of people and other things, four to sixteen in a picture."""
    cv2 = import_module("cv2")
    with np.load(SHARED / "vww_eval" / "vww01_ccby.npz") as stored:
        small = list(stored["x"])
    for number in range(PUT_TOGETHER):
        side = draw.choice([2, 3, 4])
        size = (LONGEST // side, LONGEST // side)
        tiles = [cv2.resize(draw.choice(small), size, interpolation=cv2.INTER_CUBIC) for _ in range(side * side)]
        yield f"vww_{number}", np.vstack([np.hstack(tiles[at * side : (at + 1) * side]) for at in range(side)])


def video(path: Path) -> Iterator[Picture]:
    """Every frame of a file, RGB."""
    cv2 = import_module("cv2")
    opened = cv2.VideoCapture(str(path))
    while True:
        there, frame = opened.read()
        if not there:
            return
        yield frame[:, :, ::-1]


def spread(found: list[Picture], count: int) -> list[tuple[int, Picture]]:
    """At most so many, evenly."""
    return [(int(place), found[place]) for place in np.unique(np.linspace(0, len(found) - 1, count).astype(int))]


def read(path: Path) -> Picture:
    """A file as RGB."""
    return np.asarray(import_module("PIL.Image").open(path).convert("RGB"))


def save(path: Path, picture: Picture) -> None:
    """As JPEG, no side longer than `LONGEST`."""
    image: Any = import_module("PIL.Image").fromarray(np.ascontiguousarray(picture))
    image.thumbnail((LONGEST, LONGEST))
    image.save(path, quality=88)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
