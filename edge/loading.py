"""Open an artifact: read it, choose the runtime, and say why the ones before it were passed over."""

from __future__ import annotations

import logging
from pathlib import Path

from edgekit.artifact import read
from edgekit.core.errors import DeviceError, EdgekitError, MissingDependency, Unsupported, UsageError
from edgekit.core.schema import Artifact
from edgekit.runtimes import registry
from edgekit.runtimes.base import Runtime, Session, takes
from edgekit.runtimes.face import FaceSession

AUTO = "auto"
log = logging.getLogger(__name__)


def load(path: str | Path, *, runtime: str = AUTO, threads: int = 0) -> FaceSession:
    """Open the artifact folder at `path` with a runtime that can run it here.

    `runtime` "auto" tries the manifest's runtimes in order, the board's own first. `threads` 0 uses every core this process
    may use. Raises `ArtifactError` for a damaged artifact, `Unsupported` for a runtime that does not take its format,
    `DeviceError` with every runtime's reason when none works.
    """
    return open_artifact(read(Path(path)), runtime=runtime, threads=threads)


def open_artifact(artifact: Artifact, *, runtime: str = AUTO, threads: int = 0) -> FaceSession:
    """As `load`, for an artifact that has been read."""
    if artifact.manifest.language is not None:
        raise Unsupported(
            f"{artifact.path.name!r} is a language model: it takes text, not arrays",
            f"edgekit run assistant --artifact {artifact.path}",
        )
    if threads < 0:
        raise UsageError(f"threads must be 0 (every core) or more, got {threads}")
    if runtime != AUTO:
        return _open(artifact, runtime, threads)
    return _first_that_works(artifact, threads)


def _first_that_works(artifact: Artifact, threads: int) -> FaceSession:
    """The session of the first runtime in the manifest that opens the artifact."""
    passed_over: list[tuple[str, EdgekitError]] = []
    for name in artifact.manifest.runtimes:
        try:
            session = _open(artifact, name, threads)
        except EdgekitError as reason:
            passed_over.append((name, reason))
            continue
        _tell(artifact, name, passed_over)
        return session
    raise _none_works(artifact, passed_over)


def _open(artifact: Artifact, name: str, threads: int) -> FaceSession:
    """Open the artifact with one runtime, or raise why not."""
    runtime = registry.get(name)
    _check_takes(artifact, runtime)
    probe = runtime.probe()
    if not probe.ok:
        raise MissingDependency(probe.reason, probe.hint)
    return FaceSession(runtime.load(artifact, threads=threads), artifact, name)


def _check_takes(artifact: Artifact, runtime: Runtime[Session]) -> None:
    wanted = artifact.manifest.target.format
    if not takes(runtime, wanted):
        listed = ", ".join(artifact.manifest.runtimes)
        raise Unsupported(
            f"runtime {runtime.name!r} runs {' and '.join(runtime.formats)} artifacts, not {wanted}",
            f"{artifact.path.name!r} runs on: {listed}",
        )


def _tell(artifact: Artifact, chosen: str, passed_over: list[tuple[str, EdgekitError]]) -> None:
    """Log the choice; loudly when it is not the runtime the artifact was made for."""
    if not passed_over:
        log.info("%s runs on %s", artifact.path.name, chosen)
        return
    reasons = "; ".join(f"{name}: {reason.message}" for name, reason in passed_over)
    log.warning("%s runs on %s (%s)", artifact.path.name, chosen, reasons)


def _none_works(artifact: Artifact, passed_over: list[tuple[str, EdgekitError]]) -> DeviceError:
    """One error with every reason; its hint is the first that says what to do."""
    reasons = "".join(f"\n  {name}: {reason.message}" for name, reason in passed_over) or "\n  the manifest names no runtime"
    hint = next((reason.hint for _, reason in passed_over if reason.hint), "edgekit doctor")
    return DeviceError(f"no runtime can run {artifact.path.name!r} here:{reasons}", hint)
