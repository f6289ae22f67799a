"""Pictures for the page, as data URLs."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from edgekit.core.optional import need
from edgekit.tasks.pictures.images import encode_png

SHOWN_PX = 1280
"""Larger pictures are made smaller for the page; they are read as they came."""

FOR, AGAINST = np.array([255, 122, 28], np.float32), np.array([64, 140, 255], np.float32)


def shown(image: NDArray[np.uint8]) -> str:
    """A photograph for the page, as a JPEG."""
    picture = need("PIL.Image").fromarray(image)
    picture.thumbnail((SHOWN_PX, SHOWN_PX))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=85)
    return _url("jpeg", buffer.getvalue())


def seen(picture: NDArray[np.float32], saliency: NDArray[np.float32] | None = None) -> str:
    """What the network saw, pixel by pixel; with `saliency` [28, 28] in -1..1 the ink that spoke for the digit is orange,
    against it blue."""
    gray: NDArray[np.floating] = np.repeat(picture[..., None] * 255, 3, axis=2)
    if saliency is not None:
        weight = np.abs(saliency)[..., None] ** 0.7
        tint = np.where(saliency[..., None] > 0, FOR, AGAINST)
        gray = gray * (1 - weight) * 0.75 + tint * weight
    return _url("png", encode_png(np.rint(gray).clip(0, 255).astype(np.uint8)))


def _url(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
