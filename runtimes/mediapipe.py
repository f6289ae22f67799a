"""MediaPipe Tasks on the CPU: a picture goes in as a camera gives it, and what the task finds comes out as arrays.

A task is a network with what stands before and behind it (scaling, normalising, anchors, suppression, landmarks of what was
found), all inside MediaPipe, so an artifact of format `mediapipe` holds MediaPipe's own file and is asked for its task's answer, not
for the network's. It runs in a process of its own: MediaPipe ends the process it is in over some damaged files, and its wheel brings
a second OpenCV. How many threads it takes is its own affair.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from edgekit.core.errors import ArtifactError, DeviceError, MissingDependency
from edgekit.core.optional import need
from edgekit.core.schema import Artifact, TensorSpec
from edgekit.runtimes._apart import apart
from edgekit.runtimes._mediapipe_tasks import TASKS
from edgekit.runtimes.base import Arrays, Probe, Runtime, Session, complaints, model_file

NAME = FORMAT = "mediapipe"
RUN_S = 60.0
PACKAGE = "mediapipe.tasks.python"


class MediaPipeSession:
    """A task that MediaPipe has opened. Tensors are those of the artifact's manifest."""

    def __init__(self, task: Any, kind: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self._task: Any = task
        self._kind = TASKS[kind]
        self._picture: Any = need("mediapipe")
        self.inputs, self.outputs = inputs, outputs

    def run(self, feed: Arrays) -> Arrays:
        """All outputs by name, in new arrays. Raises `DeviceError` for a feed that does not fit, or what MediaPipe refuses."""
        if self._task is None:
            raise DeviceError("this mediapipe session is closed")
        (spec,) = self.inputs
        picture = _fitting(spec, feed)
        into = {each.name: np.zeros(each.shape, each.dtype) for each in self.outputs}
        with complaints(NAME, "run the task"):
            image = self._picture.Image(image_format=self._picture.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
            self._kind.fill(getattr(self._task, self._kind.ask)(image), into, spec.shape[1:3])
        return into

    def close(self) -> None:
        """Release the task; closing again does nothing."""
        task, self._task = self._task, None
        if task is not None:
            task.close()


class _MediaPipe:
    name = NAME
    formats = (FORMAT,)

    def probe(self) -> Probe:
        """Whether the package imports here, with its tasks. It takes seconds."""
        try:
            need(f"{PACKAGE}.vision")
            version = str(need(NAME).__version__)
        except MissingDependency as missing:
            return Probe(ok=False, reason=missing.message, hint=missing.hint)
        return Probe(ok=True, version=version)

    def load(self, artifact: Artifact, *, threads: int = 0) -> Session:
        """Open the artifact's file as the task that its manifest names. `ArtifactError` when there is none, or MediaPipe refuses it."""
        manifest, kind = artifact.manifest, artifact.manifest.target.dialect
        if kind not in TASKS or len(manifest.inputs) != 1:
            raise ArtifactError(f"{artifact.path.name!r} names no task of MediaPipe: {kind!r}", "convert the model again")
        need(NAME)
        arguments = {
            "path": model_file(artifact),
            "kind": kind,
            "inputs": msgspec.to_builtins(tuple(port.engine for port in manifest.inputs)),
            "outputs": msgspec.to_builtins(tuple(port.engine for port in manifest.outputs)),
        }
        return apart(NAME, f"{__name__}:{open_task.__name__}", arguments, advice="do not use this model", run_s=RUN_S)


def open_task(path: str, kind: str, inputs: list[Any], outputs: list[Any]) -> MediaPipeSession:
    """The task in this process. What the process apart calls."""
    specs = [msgspec.convert(side, tuple[TensorSpec, ...]) for side in (inputs, outputs)]
    known = TASKS[kind]
    missing = {*known.outputs} - {spec.name for spec in specs[1]}
    if missing:
        raise ArtifactError(f"{path!r}: a {kind} gives {min(missing)!r}, which the manifest lacks", "convert the model again")
    vision = need(f"{PACKAGE}.vision")
    made, options = getattr(vision, known.engine), getattr(vision, f"{known.engine}Options")
    base = need(PACKAGE).BaseOptions(model_asset_path=path)
    with complaints(NAME, f"open {path!r} as {kind}", error=ArtifactError, hint="is it whole, and made for this task?"):
        task = made.create_from_options(options(base_options=base, **known.options))
    return MediaPipeSession(task, kind, *specs)


def _fitting(spec: TensorSpec, feed: Arrays) -> Any:
    """The picture, height by width by RGB; MediaPipe would take any size, and answer for another one."""
    array = feed.get(spec.name)
    if array is None:
        raise DeviceError(f"{NAME}: the feed has no {spec.name!r}")
    if array.shape != spec.shape or array.dtype != spec.dtype:
        raise DeviceError(
            f"{NAME}: {spec.name!r} must be {spec.dtype} {list(spec.shape)}, got {array.dtype} {list(array.shape)}"
        )
    return array[0]


runtime: Runtime[Session] = _MediaPipe()
