"""What the pages know of explanations: what is asked, what is answered, and who answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.analysis.analyst import Finds
from edgekit.apps.vision.explain import METHODS, Explanation, Gradients, explain
from edgekit.apps.vision.explain.grad_cam import NAME, GradCam
from edgekit.apps.vision.explain.original import original_of
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.showing.overlay import Picture
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.core.optional import need
from edgekit.core.schema import Artifact

STRONGEST = 0.65
"""How much of the picture the hottest place covers."""


class Explainer:
    """Asks the detector that watches why it found what it found, or the model that it was made from, which is opened when it is first asked."""

    def __init__(self, detector: Finds, gradients: Callable[[], Gradients] | None = None) -> None:
        self._detector, self._gradients = detector, gradients
        self.methods = tuple(name for name in METHODS if name != NAME or gradients is not None)

    def __call__(self, frame: Frame, detection: Boxes, *, budget_s: float, method: str = "auto") -> Explanation:
        """As `explain`, for one row of what the detector found."""
        gradients = self._gradients() if method == NAME and self._gradients is not None else None
        return explain(self._detector, frame, detection, budget_s=budget_s, method=method, gradients=gradients)


def gradients_of(artifact: Artifact, given: Path | None) -> Callable[[], Gradients] | None:
    """Opens the model that the artifact was made from, once; None where it, or PyTorch, is not at hand. Raises as `original_of` does."""
    original = original_of(artifact, given)
    if original is None or (given is None and find_spec("torch") is None):
        return None
    return cache(lambda: GradCam(artifact, original))


def heated(picture: Picture, heat: NDArray[np.floating[Any]]) -> Picture:
    """The picture [h, w, 3] with the heat over it: from clear through yellow to red."""
    height, width = picture.shape[:2]
    image = need("PIL.Image").fromarray((np.clip(heat, 0, 1) * 255).astype(np.uint8))
    share = np.asarray(image.resize((width, height), resample=2), np.float32)[..., None] / 255
    tint = np.concatenate([np.full_like(share, 255), 225 * (1 - share), np.full_like(share, 20)], axis=2)
    cover = STRONGEST * np.sqrt(share) * (share > 0.05)
    return (picture * (1 - cover) + tint * cover).astype(np.uint8)
