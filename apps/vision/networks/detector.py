"""A detection artifact on frames: scaled by the decoder's library, prepared, run, decoded, in pixels of the frame again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.networks.lanes import Lanes
from edgekit.apps.vision.segments import Segments
from edgekit.apps.vision.stages import Stages
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.core.errors import ArtifactError, Unsupported
from edgekit.core.schema import Preprocess
from edgekit.runtimes.base import Arrays
from edgekit.runtimes.face import FaceSession
from edgekit.tasks.decoding.dense import class_cells
from edgekit.tasks.decoding.recognise import has_masks
from edgekit.tasks.detection import detect
from edgekit.tasks.pictures.preprocess import Placement, Prepared, fitted, prepare

MOST = 100
"""Boxes of one class in one frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A frame as the network takes it."""

    frame: Frame
    prepared: Prepared


class Detector:
    """`labels` are the classes by id; only those `wanted` are given (all, when it is empty), down to the score `least`.

    Any thread may ask; `lanes` says how many frames are in the network at once. `ask`, `answer` and `boxes` are the three steps of
    a call, for whoever has something else to do with the threads that wait for the network. `presence` says whether it is worth asking,
    `segments` whether boxes come with shapes.
    """

    def __init__(
        self,
        session: FaceSession | Lanes,
        *,
        least: float = 0.1,
        wanted: frozenset[str] = frozenset(),
        presence: Callable[[Frame], bool] | None = None,
    ) -> None:
        self._session = session if isinstance(session, Lanes) else Lanes([session])
        manifest = session.artifact.manifest
        if manifest.preprocess is None or manifest.postprocess is None:
            raise ArtifactError(
                f"the artifact {manifest.name!r} does not say how pictures go in and boxes come out", "which artifact detects?"
            )
        if manifest.postprocess.task != "detection":
            raise Unsupported(
                f"the artifact {manifest.name!r} does {manifest.postprocess.task}, not detection", "which artifact finds boxes?"
            )
        self._preprocess, self.lanes, self.presence = manifest.preprocess, self._session.count, presence
        self._postprocess = msgspec.structs.replace(manifest.postprocess, score_threshold=least)
        self.segments = has_masks(manifest.postprocess.head)
        self.labels, self.name, self.runtime = manifest.postprocess.labels, manifest.name, session.runtime
        self._bytes = self._session.takes_bytes(self._preprocess.input, self._preprocess.scale)
        ids = np.array([index for index, label in enumerate(self.labels) if label in wanted], np.int64)
        self._wanted = ids if wanted else None

    def __call__(self, frame: Frame, stages: Stages | None = None) -> Boxes:
        """What the frame shows. With `stages` the three steps are timed."""
        stages = stages or Stages()
        question = self.ask(frame, stages)
        return self.boxes(question, self.answer(question, stages), stages)

    def ask(self, frame: Frame, stages: Stages) -> Question:
        """The frame, scaled and laid out for the network."""
        with stages.timed("prepare"):
            return Question(frame=frame, prepared=prepared_of(frame, self._preprocess, scaled_later=self._bytes))

    def answer(self, question: Question, stages: Stages) -> Arrays:
        """What the network says."""
        with stages.timed("detect"):
            return self._run(question.prepared)

    def _run(self, prepared: Prepared) -> Arrays:
        name = self._preprocess.input
        return self._session.run({name: prepared.array}, None if prepared.scale == 1 else {name: prepared.scale})

    def boxes(self, question: Question, answer: Arrays, stages: Stages) -> Boxes:
        """Its answer as boxes in pixels of the frame."""
        placement = question.prepared.placement
        with stages.timed("decode boxes"):
            found = detect(answer, self._postprocess, self._preprocess, placement, most=MOST, wanted=self._wanted)
            return Boxes(
                boxes=found.boxes.astype(np.float64) * _scale(question.frame, placement),
                scores=found.scores.astype(np.float64),
                class_ids=found.class_ids,
                segments=None
                if found.parts is None
                else Segments(parts=found.parts, preprocess=self._preprocess, placement=placement),
            )

    def cell_scores(self, frame: Frame, class_id: int) -> CellScores | None:
        """What every cell of a dense head says of one class, from a single run; None where the head keeps only its best."""
        prepared = prepared_of(frame, self._preprocess, scaled_later=self._bytes)
        outputs = self._run(prepared)
        grid = class_cells(outputs, self._postprocess, self._preprocess, class_id)
        if grid is None:
            return None
        scale = _scale(frame, prepared.placement)
        half = grid.cells[:, 2:] / 2
        middles = (grid.cells[:, :2] + 0.5) * grid.cells[:, 2:]
        squares = np.concatenate([middles - half, middles + half], axis=1).astype(np.float32)
        return CellScores(
            squares=prepared.placement.boxes_to_image(squares) * scale,
            boxes=prepared.placement.boxes_to_image(grid.boxes) * scale,
            scores=grid.scores.astype(np.float64),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CellScores:
    """A dense head's word on one class in pixels of the frame: each cell's own place [N, 4], the box it proposes, its score."""

    squares: NDArray[np.float64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]


def _scale(frame: Frame, placement: Placement) -> NDArray[np.float64]:
    """From pixels of the prepared picture to pixels of the frame."""
    return np.array([frame.width / placement.image_width, frame.height / placement.image_height] * 2)


def prepared_of(frame: Frame, preprocess: Preprocess, *, scaled_later: bool = False) -> Prepared:
    """The frame, scaled and laid out as `preprocess` says; `scaled_later` as in `prepare`."""
    height, width = fitted(frame.height, frame.width, preprocess)
    other = turned(preprocess)
    if other is None:
        return prepare(frame.rgb(width, height), preprocess, as_bytes=True, scaled_later=scaled_later)
    return prepare(frame.bgr(width, height), other, as_bytes=True, scaled_later=scaled_later)


def turned(preprocess: Preprocess) -> Preprocess | None:
    """What is to be done with a picture whose colours stand the other way round already; None where there are no colours."""
    if preprocess.color == "gray":
        return None
    return msgspec.structs.replace(preprocess, color="bgr" if preprocess.color == "rgb" else "rgb")
