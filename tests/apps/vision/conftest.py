"""Small recordings, made by the tests themselves."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
pytest.importorskip("scipy", reason="scipy (extra vision) is not installed")

Maker = Callable[[Path, list[np.ndarray]], Path]


@pytest.fixture
def make_clip() -> Maker:
    """Writes pictures as a recording."""
    return write_clip


def write_clip(path: Path, images: list[np.ndarray], *, rate: int = 10, codec: str = "mpeg4", gop: int = 5) -> Path:
    """A recording of the pictures ([h, w, 3] uint8 RGB)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, rate)
        stream.codec_context.gop_size = gop
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def walk() -> list[np.ndarray]:
    """Two seconds of a dark block that walks across a bright picture."""
    images = []
    for number in range(20):
        image = np.full((120, 160, 3), 200, np.uint8)
        image[40:100, 4 + 6 * number : 24 + 6 * number] = 30
        images.append(image)
    return images


@pytest.fixture
def clip(tmp_path: Path, walk: list[np.ndarray]) -> Path:
    return write_clip(tmp_path / "walk.mp4", walk)
