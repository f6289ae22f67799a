"""Whether anybody is in the picture at all: a small classifier, asked before the detector while nobody is followed."""

from __future__ import annotations

from threading import Lock

from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.networks.detector import prepared_of
from edgekit.core.errors import ArtifactError, Unsupported
from edgekit.runtimes.face import FaceSession
from edgekit.tasks.classification import classify

PERSON = "person"
LEAST = 0.25
"""A picture whose probability of a person is below this is passed over: rather look once too often than miss somebody."""


class Presence:
    """A classifier of pictures with and without people. Any thread may ask."""

    def __init__(self, session: FaceSession, least: float = LEAST) -> None:
        manifest = session.artifact.manifest
        if manifest.preprocess is None or manifest.postprocess is None:
            raise ArtifactError(f"the artifact {manifest.name!r} does not say how pictures go in", "which artifact classifies?")
        if manifest.postprocess.task != "classification":
            raise Unsupported(
                f"the artifact {manifest.name!r} does {manifest.postprocess.task}, not classification",
                "a classifier of pictures with and without people goes here, such as one for Visual Wake Words",
            )
        self._preprocess, self._postprocess = manifest.preprocess, manifest.postprocess
        self._person = person_class(manifest.postprocess.labels, manifest.name)
        self._session, self._least, self._lock = session, least, Lock()

    def __call__(self, frame: Frame) -> bool:
        """Whether somebody may be in the frame."""
        return self.probability(frame) >= self._least

    def probability(self, frame: Frame) -> float:
        """Of a person in the frame."""
        prepared = prepared_of(frame, self._preprocess)
        with self._lock:
            outputs = self._session.run({self._preprocess.input: prepared.array})
        return float(classify(outputs, self._postprocess, self._preprocess)[self._person])


def person_class(labels: tuple[str, ...], name: str) -> int:
    """The class called person; of two nameless ones the second, as in Visual Wake Words. Raises `Unsupported` where neither is."""
    if PERSON in labels:
        return labels.index(PERSON)
    if len(labels) == 2:
        return 1
    raise Unsupported(f"none of the {len(labels)} classes of {name!r} is called 'person'", "which model tells people?")
