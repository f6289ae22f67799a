"""Open an artifact: read it, choose the runtime, and say why the ones before it were passed over."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from edgekit.artifact import read
from edgekit.core import profiles
from edgekit.core.errors import DeviceError, EdgekitError, MissingDependency, Unsupported, UsageError
from edgekit.core.names import did_you_mean
from edgekit.core.schema import Artifact
from edgekit.runtimes import registry
from edgekit.runtimes.base import Runtime, Session, takes
from edgekit.runtimes.face import FaceSession, Layout

AUTO = "auto"
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
LAST_RESORT = ("opencv",)
"""Runtimes that no conversion proves an artifact on, tried when every other has failed."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A runtime that was tried before the chosen one, and why it was not taken."""

    runtime: str
    reason: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which runtime opened an artifact, which were passed over before it, and which were not tried any more."""

    artifact: str
    runtime: str
    passed_over: tuple[PassedOver, ...] = ()
    not_tried: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The choice as JSON has it."""
        passed = [{"name": one.runtime, "reason": one.reason, "hint": one.hint} for one in self.passed_over]
        return {"artifact": self.artifact, "runtime": self.runtime, "passed_over": passed, "not_tried": list(self.not_tried)}

    def __str__(self) -> str:
        reasons = "; ".join(f"{one.runtime}: {one.reason}" for one in self.passed_over)
        return f"{self.artifact} runs on {self.runtime}" + (f" ({reasons})" if reasons else "")


_noted: ContextVar[list[Choice] | None] = ContextVar("choices", default=None)


@contextmanager
def noted() -> Iterator[list[Choice]]:
    """The choices that are made inside the block, in a list that fills."""
    choices: list[Choice] = []
    token = _noted.set(choices)
    try:
        yield choices
    finally:
        _noted.reset(token)


def load(path: str | Path, *, runtime: str = AUTO, threads: int = 0, layout: Layout = "source") -> FaceSession:
    """Open the artifact folder at `path` with a runtime that can run it here.

    `runtime` "auto" tries the runtimes in the order of the board's profile (see `order`). `threads` 0 uses every core this process
    may use. `layout` "engine" leaves the axes of pictures as the engine keeps them, still in float. Raises `ArtifactError` for a
    damaged artifact, `UsageError` for no such layout, `Unsupported` for a runtime that does not take its format,
    `DeviceError` with every runtime's reason when none works.
    """
    return open_artifact(read(Path(path)), runtime=runtime, threads=threads, layout=layout)


def open_artifact(artifact: Artifact, *, runtime: str = AUTO, threads: int = 0, layout: Layout = "source") -> FaceSession:
    """As `load`, for an artifact that has been read."""
    if artifact.manifest.language is not None:
        raise Unsupported(
            f"{artifact.path.name!r} is a language model: it takes text, not arrays",
            f"edgekit run assistant --artifact {artifact.path}",
        )
    if threads < 0:
        raise UsageError(f"threads must be 0 (every core) or more, got {threads}")
    if layout not in LAYOUTS:
        raise UsageError(f"no layout named {layout!r}", did_you_mean(layout, LAYOUTS, f"there are {', '.join(LAYOUTS)}"))
    if runtime == AUTO:
        return _first_that_works(artifact, threads, layout)
    session = _open(artifact, runtime, threads, layout)
    _tell(Choice(artifact=artifact.path.name, runtime=runtime))
    return session


def open_inner(artifact: Artifact, tensor: int) -> FaceSession:
    """A TFLite artifact with one tensor from inside its file, [1, ...] in float, as its only output. LiteRT alone can show it.

    Raises `ArtifactError` when the file has no such tensor, and what LiteRT raises.
    """
    from edgekit.runtimes.litert import inner_face

    return inner_face(artifact, tensor)


def order(artifact: Artifact) -> tuple[str, ...]:
    """The runtimes to try: as the profile of the artifact's board has them, then the manifest's others, then last resorts."""
    manifest = artifact.manifest
    resorts = (name for name in LAST_RESORT if _takes(name, manifest.target.format))
    return tuple(dict.fromkeys((*_profile_order(artifact), *manifest.runtimes, *resorts)))


def _profile_order(artifact: Artifact) -> tuple[str, ...]:
    """The profile's runtimes that take the artifact. It is not read where it could say nothing new: that costs milliseconds."""
    target = artifact.manifest.target
    if len(artifact.manifest.runtimes) < 2 and profiles.own_file(target.device) is None:
        return ()
    try:
        board = profiles.by_name(target.device)
    except EdgekitError as unknown:
        log.debug("%s: the manifest's order of runtimes is taken (%s)", artifact.path.name, unknown.message)
        return ()
    return tuple(engine.runtime for engine in board.engines if _takes(engine.runtime, target.format))


def _takes(name: str, format_name: str) -> bool:
    try:
        return takes(registry.get(name), format_name)
    except EdgekitError:
        return False  # another package's, that is gone or does not load: the manifest's own names say why when they are tried


def _first_that_works(artifact: Artifact, threads: int, layout: Layout) -> FaceSession:
    """The session of the first runtime that opens the artifact."""
    passed_over: list[tuple[str, EdgekitError]] = []
    names = order(artifact)
    for number, name in enumerate(names):
        try:
            session = _open(artifact, name, threads, layout)
        except EdgekitError as reason:
            passed_over.append((name, reason))
            continue
        before = tuple(PassedOver(runtime=one, reason=why.message, hint=why.hint) for one, why in passed_over)
        _tell(Choice(artifact=artifact.path.name, runtime=name, passed_over=before, not_tried=names[number + 1 :]))
        return session
    raise _none_works(artifact, passed_over)


def _open(artifact: Artifact, name: str, threads: int, layout: Layout) -> FaceSession:
    """Open the artifact with one runtime, or raise why not."""
    runtime = registry.get(name)
    _check_takes(artifact, runtime)
    probe = runtime.probe()
    if not probe.ok:
        raise MissingDependency(probe.reason, probe.hint)
    return FaceSession(runtime.load(artifact, threads=threads), artifact, name, layout=layout)


def _check_takes(artifact: Artifact, runtime: Runtime[Session]) -> None:
    wanted = artifact.manifest.target.format
    if not takes(runtime, wanted):
        listed = ", ".join(artifact.manifest.runtimes)
        raise Unsupported(
            f"runtime {runtime.name!r} runs {' and '.join(runtime.formats)} artifacts, not {wanted}",
            f"{artifact.path.name!r} runs on: {listed}",
        )


def _tell(choice: Choice) -> None:
    """Log the choice, loudly when it is not the first, and note it for whoever asked."""
    log.log(logging.WARNING if choice.passed_over else logging.INFO, "%s", choice)
    choices = _noted.get()
    if choices is not None:
        choices.append(choice)


def _none_works(artifact: Artifact, passed_over: list[tuple[str, EdgekitError]]) -> DeviceError:
    """One error with every reason; its hint is the first that says what to do."""
    reasons = "".join(f"\n  {name}: {reason.message}" for name, reason in passed_over) or "\n  the manifest names no runtime"
    hint = next((reason.hint for _, reason in passed_over if reason.hint), "edgekit doctor")
    return DeviceError(f"no runtime can run {artifact.path.name!r} here:{reasons}", hint)
