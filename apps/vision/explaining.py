"""What the pages know of explanations: what is asked, what is answered, and who answers."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.analyst import Finds
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.overlay import Picture
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.core.optional import need

EXPLAIN = "edgekit.apps.vision.explain"
STRONGEST = 0.65
"""How much of the picture the hottest place covers."""


class Explained(Protocol):
    """`heat` float32 [H, W] in 0..1: what of the frame spoke for the detection, and how that was found out."""

    @property
    def heat(self) -> NDArray[np.float32]: ...
    @property
    def method(self) -> str: ...
    @property
    def timed_out(self) -> bool: ...


class Explains(Protocol):
    """Asks the detector that found `detection` (one row) in `frame` why, for about `budget_s` seconds."""

    def __call__(self, detector: Finds, frame: Frame, detection: Boxes, /, *, budget_s: float) -> Explained: ...


def explainer() -> Explains | None:
    """Who explains; None where this edgekit has nobody, and then there is no page for it."""
    return cast(Explains, import_module(EXPLAIN).explain) if find_spec(EXPLAIN) else None


def heated(picture: Picture, heat: NDArray[np.floating[Any]]) -> Picture:
    """The picture [h, w, 3] with the heat over it: from clear through yellow to red."""
    height, width = picture.shape[:2]
    image = need("PIL.Image").fromarray((np.clip(heat, 0, 1) * 255).astype(np.uint8))
    share = np.asarray(image.resize((width, height), resample=2), np.float32)[..., None] / 255
    tint = np.concatenate([np.full_like(share, 255), 225 * (1 - share), np.full_like(share, 20)], axis=2)
    cover = STRONGEST * np.sqrt(share) * (share > 0.05)
    return (picture * (1 - cover) + tint * cover).astype(np.uint8)
