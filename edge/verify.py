"""Is an artifact what it says it is: its files by hash, its answers by parity, its worth by accuracy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from edgekit import artifact as artifacts
from edgekit.core.errors import ArtifactError, GateFailed, InputError, UsageError
from edgekit.core.files import sha256_file
from edgekit.core.progress import Event, Progress, silent, staged
from edgekit.core.schema import Accuracy, Artifact, Parity, Postprocess, Preprocess
from edgekit.loading import open_artifact
from edgekit.parity import Golden, Run, judged, parity, read_golden
from edgekit.runtimes.face import FaceSession
from edgekit.runtimes.onnxruntime import execute
from edgekit.tasks.datasets import open_dataset
from edgekit.tasks.evaluate import Score, evaluate


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, in the words of the command line's JSON contract. `signature` is None: no artifact is signed yet."""

    path: str
    hash_ok: bool
    signature: None
    parity: Parity | None
    accuracy: Accuracy | None
    runtime: str
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every check that was made holds."""
        return self.hash_ok and all(check is None or check.ok for check in (self.parity, self.accuracy))


def verify(
    path: Path,
    *,
    against: Path | None = None,
    labelled: Path | None = None,
    max_drop: float | None = None,
    runtime: str = "auto",
    progress: Progress = silent,
) -> Verdict:
    """Check hashes, then parity on the recorded samples (or on `against`, the source model), then accuracy on `labelled`.

    A payload that does not have its hash ends the check: nothing of it is loaded. Raises `EdgekitError`s for what cannot be
    checked at all (no artifact, no runtime, damaged samples).
    """
    try:
        artifact = artifacts.read(path)
    except ArtifactError as damage:
        if not artifacts.is_artifact(path):
            raise
        return Verdict(
            path=str(path), hash_ok=False, signature=None, parity=None, accuracy=None, runtime="", notes=(damage.message,)
        )
    reference = execute(against) if against is not None else None
    with open_artifact(artifact, runtime=runtime) as session:
        progress(Event(stage="parity"))
        found = _parity(artifact, reference, session)
        measured = _accuracy(artifact, session, reference, labelled, max_drop, progress) if labelled is not None else None
        return Verdict(
            path=str(path),
            hash_ok=True,
            signature=None,
            parity=found,
            accuracy=measured,
            runtime=session.runtime,
            notes=_notes(artifact, against, session.runtime),
        )


def score(
    run: Run, labelled: Path, preprocess: Preprocess | None, postprocess: Postprocess | None, progress: Progress = silent
) -> Score:
    """The task metric of anything that runs; `InputError` when it is not known what the model's outputs mean."""
    if preprocess is None or postprocess is None:
        message = "what the model's outputs mean is not known, so accuracy cannot be measured"
        raise InputError(message, "leave out --evaluate: parity is still checked")
    return evaluate(run, open_dataset(labelled), preprocess, postprocess, progress=progress)


def accuracy(source: Score, found: Score, max_drop: float | None) -> Accuracy:
    """The drop from source to artifact, judged against the budget (no budget: always ok)."""
    drop = source.value - found.value
    ok = max_drop is None or drop <= max_drop + 1e-12
    return Accuracy(
        metric=found.metric,
        source=source.value,
        artifact=found.value,
        drop=drop,
        max_drop=max_drop,
        ok=ok,
        samples=found.samples,
    )


def ensure_accuracy(measured: Accuracy) -> None:
    """Raise `GateFailed` with the numbers unless the drop is within the budget."""
    if measured.ok or measured.max_drop is None:
        return
    message = (
        f"accuracy: {measured.metric} fell from {measured.source:.4f} to {measured.artifact:.4f} on {measured.samples} samples, "
        f"a drop of {100 * measured.drop:.2f} points, more than the {100 * measured.max_drop:.2f} allowed"
    )
    raise GateFailed(message, "--precision auto tries the next precision; more calibration data often helps")


def _parity(artifact: Artifact, reference: Run | None, session: FaceSession) -> Parity:
    """Parity now, judged by the tolerance that the conversion was held to."""
    found = parity(_golden(artifact, reference), session.run, artifact.manifest.target.precision)
    recorded = artifact.manifest.parity
    return judged(found, recorded.tolerance) if recorded is not None and recorded.metric == found.metric else found


def _golden(artifact: Artifact, reference: Run | None) -> Golden:
    """The recorded samples, with the source model's answers recorded or asked for now."""
    try:
        recorded = read_golden(artifact.file("golden"))
    except KeyError:
        raise ArtifactError(f"{str(artifact.path)!r} holds no golden samples", "convert the model again") from None
    if reference is None:
        return recorded
    return Golden(feeds=recorded.feeds, answers=tuple(reference(feed) for feed in recorded.feeds))


def _accuracy(
    artifact: Artifact, session: FaceSession, reference: Run | None, labelled: Path, max_drop: float | None, progress: Progress
) -> Accuracy:
    manifest = artifact.manifest
    shown = staged(progress, "evaluate artifact")
    found = score(session.run, labelled, manifest.preprocess, manifest.postprocess, shown)
    if reference is not None:
        shown = staged(progress, "evaluate source")
        return accuracy(score(reference, labelled, manifest.preprocess, manifest.postprocess, shown), found, max_drop)
    if manifest.accuracy is not None and manifest.accuracy.samples == found.samples:
        return accuracy(replace(found, value=manifest.accuracy.source), found, max_drop)
    raise UsageError(
        "the source model's accuracy on this data is not recorded in the artifact", "name the source: --against MODEL"
    )


def _notes(artifact: Artifact, against: Path | None, runtime: str) -> tuple[str, ...]:
    notes = []
    if runtime != artifact.manifest.runtimes[0]:
        notes.append(
            f"checked in {runtime} on this machine, not in {artifact.manifest.runtimes[0]} on {artifact.manifest.target.device}"
        )
    if against is not None and sha256_file(against) != artifact.manifest.source.sha256:
        notes.append(f"{str(against)!r} is not the file this artifact was made from (its sha256 differs)")
    return tuple(notes)
