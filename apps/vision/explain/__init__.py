"""Why a detector found what it found: a map of the frame that shows what spoke for one detection.

The methods ask the very detector that made the detection, whatever engine runs it. `CELLS` costs one run and exists where the head is
dense; `OCCLUSION` covers one place after another; `RANDOM_MASKS` is D-RISE. `grad-cam` asks the model that the detector was made from,
where that is at hand. What the maps are worth is measured in `faithfulness`.
"""

from __future__ import annotations

from time import perf_counter
from typing import Literal, Protocol, get_args, runtime_checkable

from edgekit.apps.vision.analysis.analyst import Finds
from edgekit.apps.vision.explain.asking import Asking, Explanation, shown_as
from edgekit.apps.vision.explain.cells import cell_map
from edgekit.apps.vision.explain.masks import mask_map
from edgekit.apps.vision.explain.occlusion import occlusion_map
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.networks.detector import CellScores
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.core.errors import Unsupported, UsageError
from edgekit.core.names import did_you_mean

__all__ = ["METHODS", "Explanation", "explain"]

Method = Literal["auto", "cells", "occlusion", "d-rise", "grad-cam"]
METHODS: tuple[str, ...] = get_args(Method)


@runtime_checkable
class Dense(Protocol):
    """A detector that can say what every cell of its head thinks."""

    def cell_scores(self, frame: Frame, class_id: int, /) -> CellScores | None: ...


class Gradients(Protocol):
    """The model that a detector was made from, asked for its gradients."""

    def of_detection(self, frame: Frame, detection: Boxes, /) -> Explanation: ...


def explain(
    detector: Finds,
    frame: Frame,
    detection: Boxes,
    *,
    budget_s: float = 2.0,
    method: str = "auto",
    gradients: Gradients | None = None,
) -> Explanation:
    """What in `frame` spoke for `detection` (one row of what `detector` found in it), within about `budget_s`.

    `auto` takes the cells' scores where the head has them, else occlusion. Raises `UsageError` for anything but one detection,
    for an unknown method, and for `grad-cam` without `gradients`; `Unsupported` when `cells` is asked of a head that has none.
    """
    if len(detection) != 1:
        raise UsageError(f"{len(detection)} detections cannot be explained at once", "take one: found.take([0])")
    if method not in METHODS:
        raise UsageError(f"no method named {method!r}", did_you_mean(method, METHODS, f"known: {', '.join(METHODS)}"))
    if method == "grad-cam":
        if gradients is None:
            raise UsageError("gradients are those of the model that the detector was made from", "--original MODEL")
        return gradients.of_detection(frame, detection)
    if method in ("auto", "cells"):
        scores = detector.cell_scores(frame, int(detection.class_ids[0])) if isinstance(detector, Dense) else None
        if scores is not None:
            return Explanation(heat=cell_map(scores, frame, detection), method="cells", timed_out=False, calls=1)
        if method == "cells":
            raise Unsupported("this detector does not say what each of its cells thinks", "--method occlusion")
    asking = Asking(detector, frame, detection, until_s=perf_counter() + budget_s)
    heat = mask_map(asking) if method == "d-rise" else occlusion_map(asking)
    name = "d-rise" if method == "d-rise" else "occlusion"
    return Explanation(heat=shown_as(heat, frame), method=name, timed_out=asking.timed_out, calls=asking.calls)
