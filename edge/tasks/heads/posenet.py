"""PoseNet for several people: where each of COCO's 17 points may be, and vectors that lead from there to the next.

Per cell: how likely each point is (before the sigmoid), the way to the exact place (y of all points, then x), and the ways along the
16 limbs from the nose outwards and back (y, then x, of each). A person begins at a likely point that no person has yet; from there the
limbs are followed, the surest point first. Source: Papandreou et al., "PersonLab" (arXiv:1803.08225), sections 3.1 and 4; the order of
channels is that of the models in google-coral/project-posenet (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import Arrays, Candidates, Floats, Recognised, array_shaped, image_input, sigmoid

POINTS = 17
LIMBS = (
    (0, 1), (1, 3), (0, 2), (2, 4), (0, 5), (5, 7), (7, 9), (5, 11), (11, 13), (13, 15),
    (0, 6), (6, 8), (8, 10), (6, 12), (12, 14), (14, 16),
)  # fmt: skip
BOTH_WAYS = 4 * len(LIMBS)
STRIDES = (8, 16, 32)
ROOT_SCORE = 0.5
"""A person begins at a point that is as likely as this."""
APART_PX = 20.0
"""A point this near to the same point of a surer person is that person's."""
REFINEMENTS = 5
MOST = 30
SEEN = 0.2
"""Points of a lower score do not count for a person's box."""
NOTHING_SUPPRESSED = 1.0
Place = NDArray[np.float64]


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """[1, h, w, 17], [1, h, w, 34] and the limbs, [1, h, w, 64] or twice 32, of a grid from edge to edge of a coloured picture."""
    picture = image_input(inputs)
    if picture is None or picture.channels != 3 or not outputs or len(outputs[0].shape) != 4:
        return None
    height, width = outputs[0].shape[1:3]
    if _stride(picture.height, height) is None or _stride(picture.height, height) != _stride(picture.width, width):
        return None
    wanted = [[(1, height, width, channels) for channels in maps] for maps in ((17, 34, 64), (17, 32, 32, 34))]
    if sorted(spec.shape for spec in outputs) not in wanted:
        return None
    preprocess = Preprocess(
        input=picture.name,
        height=picture.height,
        width=picture.width,
        layout=picture.layout,
        resize="letterbox",
        scale=1 / 127.5,
        mean=(1.0,),
    )
    return preprocess, Postprocess(
        task="detection", head="posenet", labels=("person",), score_threshold=SEEN, iou_threshold=NOTHING_SUPPRESSED
    )


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """People with keypoints [N, 17, 3], surest first, boxed by the points seen; all in pixels of the input."""
    maps = _maps(outputs, preprocess)
    people = _people(maps)
    scores = _alone(people, APART_PX / maps.stride)
    kept = np.flatnonzero(scores >= postprocess.score_threshold)
    keypoints = people[kept] * np.array([maps.stride, maps.stride, 1], np.float64)
    return Candidates(
        boxes=_boxes(keypoints),
        scores=scores[kept].astype(np.float32),
        class_ids=np.zeros(len(kept), np.int64),
        keypoints=keypoints.astype(np.float32),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maps:
    """A grid's word, all in cells: `likely` [h, w, 17] in 0..1, `exact` [h, w, 2, 17] and `ways` [h, w, 2, 32], (y, x)."""

    likely: Floats
    exact: Floats
    ways: Floats
    stride: int

    def at(self, channels: Floats, place: Place) -> Place:
        """The channels [h, w, ...] between the four cells around a place (x, y) of the grid."""
        top, left = int(place[1]), int(place[0])
        bottom, right = min(top + 1, channels.shape[0] - 1), min(left + 1, channels.shape[1] - 1)
        down, along = place[1] - top, place[0] - left
        upper = channels[top, left] * (1 - along) + channels[top, right] * along
        lower = channels[bottom, left] * (1 - along) + channels[bottom, right] * along
        return np.asarray(upper * (1 - down) + lower * down, np.float64)

    def inside(self, place: Place) -> Place:
        """The nearest place of the grid."""
        height, width = self.likely.shape[:2]
        return np.asarray(np.clip(place, 0, (width - 1, height - 1)))

    def moved(self, place: Place, limb: int, point: int) -> Place:
        """Along a limb, then by the short ways to the point's exact place."""
        found = self.inside(place + self.at(self.ways[..., limb], place)[::-1])
        for _ in range(REFINEMENTS):
            found = self.inside(found + self.at(self.exact[..., point], found)[::-1])
        return found


def _maps(outputs: Arrays, preprocess: Preprocess) -> _Maps:
    """Raises `InputError` for maps of other grids, other channels, or infinite numbers."""
    heat = array_shaped(outputs, "posenet", (1, None, None, POINTS))[0].astype(np.float32)
    height, width = heat.shape[:2]
    exact = array_shaped(outputs, "posenet", (1, height, width, 2 * POINTS))[0].astype(np.float32)
    ways = [array[0].astype(np.float32) for array in outputs.values() if array.shape == (1, height, width, BOTH_WAYS // 2)]
    both = np.concatenate(ways, axis=2) if len(ways) == 2 else None
    if both is None:
        both = array_shaped(outputs, "posenet", (1, height, width, BOTH_WAYS))[0].astype(np.float32)
    stride = _stride(preprocess.height, height)
    if stride is None or stride != _stride(preprocess.width, width):
        raise InputError(
            f"a grid of {height} x {width} does not fit an input of {preprocess.height} x {preprocess.width}",
            "is this the right head?",
        )
    if not all(np.isfinite(part).all() for part in (heat, exact, both)):
        raise InputError("the model's maps hold NaN or infinity", "does the source model give them too?")
    there, back = (both[..., half].reshape(height, width, 2, -1) for half in (slice(32), slice(32, 64)))
    return _Maps(
        likely=sigmoid(heat),
        exact=exact.reshape(height, width, 2, POINTS) / stride,
        ways=(np.concatenate([there, back], axis=3) / stride).astype(np.float32),
        stride=stride,
    )


def _stride(pixels: int, cells: int) -> int | None:
    """Pixels from cell to cell of a grid whose outer cells lie on the edges."""
    return next((stride for stride in STRIDES if cells > 1 and (cells - 1) * stride == pixels - 1), None)


def _people(maps: _Maps) -> Place:
    """[N, 17, 3] of x, y (in cells) and score, in the order of the points they began at."""
    found: list[Place] = []
    for place, point in _roots(maps):
        near = (np.hypot(*(person[point, :2] - place)) * maps.stride <= APART_PX for person in found)
        if not any(near):
            found.append(_person(maps, place, point))
        if len(found) == MOST:
            break
    return np.array(found, np.float64).reshape(-1, POINTS, 3)


def _roots(maps: _Maps) -> Iterator[tuple[Place, int]]:
    """Exact places and numbers of the points that are likeliest among their neighbours, likeliest first."""
    height, width = maps.likely.shape[:2]
    padded = np.pad(maps.likely, ((1, 1), (1, 1), (0, 0)))
    around = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    rows, columns, points = np.nonzero((maps.likely >= ROOT_SCORE) & (maps.likely >= np.maximum.reduce(around)))
    for index in np.argsort(-maps.likely[rows, columns, points], kind="stable"):
        row, column, point = rows[index], columns[index], int(points[index])
        yield maps.inside(np.array([column, row]) + maps.exact[row, column, ::-1, point]), point


def _person(maps: _Maps, place: Place, point: int) -> Place:
    """[17, 3]: every point reached from one, along the limbs, the surest first."""
    found, known = np.zeros((POINTS, 3)), np.zeros(POINTS, bool)
    waiting: list[tuple[float, int, tuple[float, float]]] = []

    def wait(at: Place, one: int) -> None:
        heappush(waiting, (-float(maps.at(maps.likely[..., one], at)), one, (float(at[0]), float(at[1]))))

    wait(place, point)
    while waiting:
        score, one, at = heappop(waiting)
        if known[one]:
            continue
        found[one], known[one] = (*at, -score), True
        for limb, other in _NEXT[one]:
            if not known[other]:
                wait(maps.moved(np.array(at), limb, other), other)
    return found


def _alone(people: Place, near: float) -> Place:
    """Mean score of each person's points, those left out that lie on the same points of somebody before."""
    scores = people[:, :, 2].copy()
    for row in range(1, len(people)):
        apart = np.hypot(*np.moveaxis(people[:row, :, :2] - people[row, :, :2], -1, 0))
        scores[row, (apart <= near).any(axis=0)] = 0
    return np.asarray(scores.mean(axis=1))


def _boxes(keypoints: Place) -> Floats:
    """[N, 4] around the points seen; empty where none is."""
    seen = (keypoints[:, :, 2] >= SEEN)[:, :, None]
    low = np.where(seen, keypoints[:, :, :2], np.inf).min(axis=1, initial=np.inf)
    high = np.where(seen, keypoints[:, :, :2], -np.inf).max(axis=1, initial=-np.inf)
    boxes: Floats = np.concatenate([low, high], axis=1).astype(np.float32)
    return np.where(np.isfinite(boxes), boxes, 0).astype(np.float32)


def _limbs_of(point: int) -> tuple[tuple[int, int], ...]:
    """Number of each limb from the point, outwards or back, and where it leads."""
    out = [(limb, end) for limb, (start, end) in enumerate(LIMBS) if start == point]
    back = [(len(LIMBS) + limb, start) for limb, (start, end) in enumerate(LIMBS) if end == point]
    return (*out, *back)


_NEXT = tuple(_limbs_of(point) for point in range(POINTS))
