"""Is an artifact what it says it is: its files by hash, its answers by parity, its worth by accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from edgekit import artifact as artifacts
from edgekit.core.errors import ArtifactError, GateFailed, InputError, UsageError
from edgekit.core.files import sha256_file
from edgekit.core.progress import Event, Progress, silent, staged
from edgekit.core.schema import Accuracy, Artifact, Parity
from edgekit.language_parity import judged as language_judged
from edgekit.language_parity import read_golden as read_spoken
from edgekit.language_parity import scored
from edgekit.loading import open_artifact
from edgekit.parity import Golden, Run, judged, parity, read_golden
from edgekit.runtimes.face import FaceSession
from edgekit.signing.minisign import PublicKey
from edgekit.signing.sign import Signed, ensure_signed
from edgekit.tasks.data.datasets import Dataset, open_dataset
from edgekit.tasks.evaluate import Examinee, Score, evaluate, labelled_by


class SignatureCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a trusted key vouches for the artifact; if so, `signed` says which key and release, else `reason` why not."""

    ok: bool
    signed: Signed | None = None
    reason: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, in the words of the command line's JSON contract. `signature` is None when no key was given to check it."""

    path: str
    hash_ok: bool
    signature: SignatureCheck | None
    parity: Parity | None
    accuracy: Accuracy | None
    runtime: str
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every check that was made holds."""
        return self.hash_ok and all(check is None or check.ok for check in (self.signature, self.parity, self.accuracy))


def verify(
    path: Path,
    *,
    against: Path | None = None,
    labelled: Path | None = None,
    max_drop: float | None = None,
    runtime: str = "auto",
    keys: Sequence[PublicKey] = (),
    progress: Progress = silent,
) -> Verdict:
    """Check hashes, then the signature when there are `keys` to trust, then parity on the recorded samples (or on `against`, the
    source model), then accuracy on `labelled`.

    A payload that does not have its hash, or that none of `keys` vouches for, ends the check: nothing of it is loaded. Raises `EdgekitError`s for what cannot be
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
    signature = _signature(artifact, keys) if keys else None
    if signature is not None and not signature.ok:
        return Verdict(path=str(path), hash_ok=True, signature=signature, parity=None, accuracy=None, runtime="")
    if max_drop is not None and labelled is None:
        raise UsageError("a largest drop was given, but no data to measure it on", "add --evaluate DATA")
    if artifact.manifest.language is not None:
        spoken = _language_verdict(artifact, against, labelled, runtime, progress)
        return msgspec.structs.replace(spoken, signature=signature)
    reference = _reference(against) if against is not None else None
    with open_artifact(artifact, runtime=runtime) as session:
        progress(Event(stage="parity"))
        found = _parity(artifact, reference, session)
        measured = _accuracy(session, reference, labelled, max_drop, progress) if labelled is not None else None
        return Verdict(
            path=str(path),
            hash_ok=True,
            signature=signature,
            parity=found,
            accuracy=measured,
            runtime=session.runtime,
            notes=_notes(artifact, against, session.runtime),
        )


def _signature(artifact: Artifact, keys: Sequence[PublicKey]) -> SignatureCheck:
    try:
        return SignatureCheck(ok=True, signed=ensure_signed(artifact, keys))
    except (GateFailed, InputError) as refusal:
        return SignatureCheck(ok=False, reason=refusal.message)


def _language_verdict(
    artifact: Artifact, against: Path | None, labelled: Path | None, runtime: str, progress: Progress
) -> Verdict:
    """A language model is asked for its next tokens, and they are compared with the source's that travel with it."""
    if labelled is not None or against is not None:
        option = "--evaluate" if labelled is not None else "--against"
        raise UsageError(f"{option} is not for language models", "the source's own answers are recorded in the artifact")
    progress(Event(stage="parity"))
    source = read_spoken(artifact.file("golden"))
    scores, engine = scored(artifact.file("model"), source.tokens, runtime)
    notes = (f"checked in {engine} on this machine, not on {artifact.manifest.target.device}",)
    parity = language_judged(source, scores, artifact.manifest.target.precision)
    return Verdict(
        path=str(artifact.path), hash_ok=True, signature=None, parity=parity, accuracy=None, runtime=engine, notes=notes
    )


def _reference(model: Path) -> Run:
    """The source model's own answers. Reading it takes the converters, which a board that only runs artifacts does without."""
    from edgekit.formats import reference_run

    return reference_run(model)


def judging_data(path: Path, reference: Examinee | None) -> Dataset:
    """The data at `path`; pictures without labels get the answers of `reference` for the truth.

    Raises `UsageError` for pictures without labels when there is no reference.
    """
    dataset = open_dataset(path)
    if dataset.task != "unlabelled":
        return dataset
    if reference is None:
        message = (
            f"{str(path)!r} holds {len(dataset)} pictures without labels: only agreement with another model can be measured"
        )
        raise UsageError(message, "name the source model: --against MODEL")
    return labelled_by(reference, dataset)


def examinee_of(session: FaceSession) -> Examinee:
    """An opened artifact, to be judged on data."""
    manifest = session.artifact.manifest
    return Examinee(
        run=session.run,
        inputs=session.inputs,
        outputs=session.outputs,
        preprocess=manifest.preprocess,
        postprocess=manifest.postprocess,
    )


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
        data_sha256=found.data_sha256,
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
    recorded, precision = artifact.manifest.parity, artifact.manifest.target.precision
    if recorded is not None and recorded.metric == "sqnr_db" and precision == "fp32":
        precision = "int8"  # a float artifact of a model that came quantized was judged so
    found = parity(_golden(artifact, reference), session.run, precision)
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
    session: FaceSession, reference: Run | None, labelled: Path, max_drop: float | None, progress: Progress
) -> Accuracy:
    examinee = examinee_of(session)
    source = replace(examinee, run=reference) if reference is not None else None
    dataset = judging_data(labelled, source)
    found = evaluate(examinee, dataset, progress=staged(progress, "evaluate artifact"))
    if source is not None:
        return accuracy(evaluate(source, dataset, progress=staged(progress, "evaluate source")), found, max_drop)
    recorded = session.artifact.manifest.accuracy
    if recorded is not None and recorded.metric == found.metric and recorded.data_sha256 == found.data_sha256:
        return accuracy(replace(found, value=recorded.source), found, max_drop)
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
